// Package saturation has the built-in saturation detectors: how full the pool
// is, 1.0 being full.
package saturation
