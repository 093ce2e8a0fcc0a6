package gateway

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirflow/weir/controller"
)

// TestReadings wants requests to be refused once readings have been missing for a while,
// to wait again once there are some, and each change to be said once.
func TestReadings(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	r := newReadings(zap.New(core))
	now := time.Unix(1_800_000_000, 0)
	for i, step := range []struct {
		after   time.Duration
		state   controller.Readings
		refuses bool
		lines   int
	}{
		{0, controller.ReadingsMissing, false, 0}, // not read yet
		{time.Second, controller.ReadingsUsed, false, 0},
		{time.Second, controller.ReadingsMissing, false, 0},
		{time.Second, controller.ReadingsMissing, false, 0},
		{time.Second, controller.ReadingsMissing, true, 1},
		{time.Second, controller.ReadingsMissing, true, 1},
		{time.Second, controller.ReadingsUsed, false, 2},
		{time.Second, controller.ReadingsReplaced, false, 2},
		{2 * time.Second, controller.ReadingsReplaced, false, 3},
		{time.Second, controller.ReadingsMissing, false, 3},
		{2 * time.Second, controller.ReadingsMissing, true, 4},
		{time.Second, controller.ReadingsReplaced, true, 4}, // not for sure yet
		{2 * time.Second, controller.ReadingsReplaced, false, 5},
	} {
		now = now.Add(step.after)
		r.look(now, step.state)
		if refuses := r.refusing().Err() != nil; refuses != step.refuses || logs.Len() != step.lines {
			t.Errorf("step %d: refuses is %v after %d lines, want %v after %d", i, refuses, logs.Len(), step.refuses, step.lines)
		}
	}
}
