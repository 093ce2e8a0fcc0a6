// Package usagelimit has the built-in usage limit policies: how full the pool
// may get for each priority band.
//
//	policy                        ceiling of a band
//	static                        the same for all
//	priority holdback             from maxCeiling for the highest down to minCeiling
//	soft reflective ceiling       1 for the highest, the lower the fuller the pool is
package usagelimit
