package controller

import (
	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
)

// Readings is how a saturation detector fares with the endpoints' own metrics.
type Readings int32

const (
	// ReadingsUsed: there are some, or the detector needs none.
	ReadingsUsed Readings = iota
	// ReadingsReplaced: there never were any, and the detector goes by something else.
	ReadingsReplaced
	// ReadingsMissing: all are too old, so that the detector takes the pool for full.
	ReadingsMissing
)

// readings judges what was observed.
func (l *limiter) readings(pool core.Pool, endpoints []policies.EndpointAccessor) Readings {
	if len(endpoints) == 0 {
		return ReadingsUsed
	}
	if r, ok := l.detector.(policies.ReadingsReplacer); ok && r.WithoutReadings(endpoints) {
		return ReadingsReplaced
	}
	if pool.Stale == len(endpoints) {
		return ReadingsMissing
	}
	return ReadingsUsed
}
