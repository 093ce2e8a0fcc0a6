package extproc

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// dead closes one of the bench's servers, and returns the addresses of both.
func (b *bench) dead() (dead, alive string) {
	b.servers[0].Close()
	return b.servers[0].Listener.Addr().String(), b.servers[1].Listener.Addr().String()
}

// ejected wants the dead one ejected and the other not.
func (b *bench) ejected(t *testing.T, dead string) {
	t.Helper()
	for _, e := range b.pool.Endpoints().Endpoints() {
		if s := e.Status(); s.Healthy != (e.Address() != dead) {
			t.Errorf("%s is healthy: %v", e.Address(), s.Healthy)
		}
	}
	only := post(whole(chat))
	only.Subset = []string{dead}
	if res, err := b.Do(t.Context(), only); err != nil || !res.Immediate || !bytes.Contains(res.Body, []byte("no_endpoints")) {
		t.Errorf("a request to the ejected one only: %+v, %v", res, err)
	}
	b.idle(t)
}

// TestTurnedTo counts requests at the endpoint that answered in the end, and ejects the
// one that Envoy turned from.
func TestTurnedTo(t *testing.T) {
	b := newBench(t, 100)
	dead, alive := b.dead()
	ended := make(chan error)
	for range 2 { // one of them is sent to the dead one first
		go func() {
			res, err := b.Do(t.Context(), post(whole(chat), "x-slow", "after headers"))
			if err == nil && res.Status != http.StatusOK {
				err = fmt.Errorf("status %d", res.Status)
			}
			ended <- err
		}()
	}
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		at := make(map[string]int)
		for _, e := range b.pool.Endpoints().Endpoints() {
			at[e.Address()] = e.InFlight()
		}
		if at[alive] == 2 && at[dead] == 0 {
			break
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("in flight: %v, both are at %s", at, alive)
		}
	}
	close(b.release)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	b.ejected(t, dead)
}

// TestUnreachable ejects an endpoint where Envoy answers itself because it could not
// connect.
func TestUnreachable(t *testing.T) {
	b := newBench(t, 100)
	dead, _ := b.dead()
	only := post(whole(chat))
	only.Subset = []string{dead}
	if res, err := b.Do(t.Context(), only); err != nil || res.Status != http.StatusServiceUnavailable || res.Immediate {
		t.Fatalf("a request to the dead one only: %+v, %v", res, err)
	}
	b.ejected(t, dead)
}
