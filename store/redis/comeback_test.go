package redis

import (
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/storetest"
)

// TestComesBackAtOnce takes turns at a server that is gone, as many as in an outage of
// minutes, and one as soon as it is back. Replicas that came back a second apart would
// not be waited for by a ledger that has lost its memory.
func TestComesBackAtOnce(t *testing.T) {
	server := miniredis.RunT(t)
	l := open("redis://"+server.Addr())(t, storetest.NewClock().Now)
	turn := func(number uint64) error {
		_, err := l.Turn(t.Context(), &store.Statement{Replica: "a", Incarnation: 1, Number: number, Register: true, Members: 1})
		return err
	}
	if err := turn(1); err != nil {
		t.Fatal(err)
	}
	server.Close()
	for n := uint64(2); n < 500; n++ {
		if err := turn(n); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("at a server that is gone: %v", err)
		}
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := turn(500); err != nil {
		t.Errorf("the first turn at a server that is back: %v", err)
	}
}

// TestOpensLate opens a ledger in a Redis that answers nothing for a time, as one may that is
// busy: that is no reason not to start.
func TestOpensLate(t *testing.T) {
	server := redistest.Start(t)
	server.Stop()
	time.AfterFunc(300*time.Millisecond, server.Continue)
	l, err := Open(t.Context(), Config{URL: server.URL(), Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
