package spread

import (
	"testing"
	"time"
)

// set counts how often parts are set in a pool.
type set int

func (*set) Name() string                        { return "pool" }
func (*set) Held() map[string]time.Duration      { return nil }
func (s *set) SetParts(parts map[string]float64) { *s++ }

// TestGoneTenant has a tenant that held a part of its slots in a pool be forgotten, who holds
// nothing anywhere: that is no evidence of another part, so its part stays for as long as one may.
func TestGoneTenant(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var sets set
	a := &account{pool: &sets, parts: map[string]float64{"gone": 0.5}, set: now}
	for passed, want := range map[time.Duration]set{settled: 0, lasting - 1: 0, lasting: 1} {
		sets, a.parts, a.set = 0, map[string]float64{"gone": 0.5}, now
		if a.share(nil, nil, now.Add(passed)); sets != want {
			t.Errorf("parts were set %d times %v after the last, want %d", sets, passed, want)
		}
	}
}
