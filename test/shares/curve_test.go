package shares

import (
	"math"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// TestCurve reads a curve of a request from 1 s to 3 s, another from 2 s to 4 s, and one of
// somebody else from 0 s to 9 s.
func TestCurve(t *testing.T) {
	began := time.Now()
	at := func(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
	request := func(tenant string, from, to float64) processes.Ran {
		return processes.Ran{Tenant: tenant, Began: began.Add(at(from)), Ended: began.Add(at(to))}
	}
	ran := []processes.Ran{request("a", 1, 3), request("other", 0, 9), request("a", 2, 4)}
	c := NewCurve(ran, began, func(tenant string) bool { return tenant == "a" })
	span := func(from, to float64) Span { return Span{at(from), at(to)} }
	all := NewCurve(ran, began, func(string) bool { return true })
	lack, over := c.Lack(span(0, 6), 0.5, all, 0.25)
	lackOfOne, _ := c.Lack(span(0, 6), 1, Steady(1), 0)
	reached, ok := c.Reaches(2, at(0.5))
	for _, v := range []struct {
		what      string
		got, want float64
	}{
		{"had in all", c.Had(span(0, 6)), 4},
		{"had from 1.5 s to 3.5 s", c.Had(span(1.5, 3.5)), 3},
		{"on average from 0 s to 4 s", c.Mean(span(0, 4)), 1},
		{"at most from 3 s to 5 s", float64(c.Most(span(3, 5))), 1},
		{"at most from 0 s to 5 s", float64(c.Most(span(0, 5))), 2},
		{"on average in the worst 2 s from 1 s to 6 s", c.Worst(span(1, 6), 2*time.Second), 0},
		{"on average in the worst 2 s from 0 s to 4 s", c.Worst(span(0, 4), 2*time.Second), 0.5},
		{"behind half of what all had", lack, 1},
		{"behind one slot", lackOfOne, 2},
		{"behind from", over.From.Seconds(), 4},
		{"behind until", over.To.Seconds(), 6}, // the curve does not bend before
		{"two slots after", reached.Seconds(), 1.5},
	} {
		if math.Abs(v.got-v.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", v.what, v.got, v.want)
		}
	}
	if got := c.Below(span(0, 6), time.Second, 0.5); math.Abs(got-0.4) > 0.01 { // it tries some windows
		t.Errorf("of all seconds from 0 s to 6 s %.3f have less than half a slot, want 0.4", got)
	}
	if !ok {
		t.Error("two slots were reached")
	}
	if _, ok := c.Reaches(3, 0); ok {
		t.Error("three slots were never reached")
	}
}
