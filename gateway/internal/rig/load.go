package rig

import (
	"fmt"
	"testing"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// Hold takes a slot for a flow until the test ends.
func (r *Rig) Hold(t *testing.T, flow string, output int64) {
	t.Helper()
	q := &controller.Request{Flow: policies.FlowKey{ID: flow}, OutputTokens: output}
	if outcome, err := r.Control.EnqueueAndWait(t.Context(), q); err != nil {
		t.Fatal(outcome, err)
	}
	t.Cleanup(func() { r.Control.Release(q, controller.Usage{}) })
}

// Queue has requests of a flow wait, in place of a client, until the test ends.
func (r *Rig) Queue(t *testing.T, flow string, waiting int64) {
	t.Helper()
	go func() {
		_, _ = r.Control.EnqueueAndWait(t.Context(), &controller.Request{Flow: policies.FlowKey{ID: flow}, Bytes: 1})
	}()
	r.Waiting(t, waiting)
}

// Waiting waits until so many requests do.
func (r *Rig) Waiting(t *testing.T, n int64) {
	t.Helper()
	Eventually(t, func() string {
		v, err := r.Control.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if int64(v.Waiting) == n {
			return ""
		}
		return fmt.Sprintf("%d requests wait, not %d", v.Waiting, n)
	})
}
