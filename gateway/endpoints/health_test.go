package endpoints

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// ejectable is a pool of one endpoint, and a listener at its address.
func ejectable(t *testing.T) (*Pool, net.Listener) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := New(Config{Source: Static{At("", "http", host, port)}})
	t.Cleanup(p.Close)
	return p, l
}

// untilUsable is how long it takes until a request can go to an endpoint again.
func untilUsable(p *Pool) time.Duration {
	began := time.Now()
	for !p.Endpoints()[0].usable() {
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// TestProbesBackOff wants a server that stays away to be probed ever more seldom.
func TestProbesBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := ejectable(t)
		_ = l.Close()
		slot, _ := p.Take(&Query{})
		slot.Unreachable(errors.New("connection refused"))
		time.Sleep(16 * time.Second) // probed after 0.25, 0.75, 1.75, 3.75, 7.75 and 15.75 s
		again, err := net.Listen("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close() //nolint:errcheck // a test
		if took := untilUsable(p); took < 7*time.Second || took > lastProbe {
			t.Errorf("it was probed %v after it came back, want 7.75 s", took)
		}
	})
}

// TestAnswersFromBefore wants an answer by a connection from before an endpoint was ejected
// not to count for its being well.
func TestAnswersFromBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := ejectable(t)
		defer l.Close() //nolint:errcheck // a test
		before, _ := p.Take(&Query{})
		for _, want := range []time.Duration{firstProbe, 2 * firstProbe} {
			slot, _ := p.Take(&Query{})
			slot.Unreachable(errors.New("connection refused"))
			before.Answered()
			if took := untilUsable(p); took < want || took > want+50*time.Millisecond {
				t.Errorf("it was probed after %v, want %v", took, want)
			}
		}
	})
}
