package shard

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
)

func TestBufferIsSharedFairly(t *testing.T) {
	s := New(testConfig(100))
	if refused, _ := flood(s, 0, 400, "flood", 0); refused != 300 {
		t.Errorf("%d of the flood's 400 were refused by a buffer of 100", refused)
	}
	refused, displaced := flood(s, 1000, 4, "light", 0)
	if refused != 0 || displaced != 4 {
		t.Errorf("a light flow at a full buffer: %d refused, %d displaced; want its 4 in for 4 of the flood", refused, displaced)
	}
	flood(s, 2000, 400, "other", 0)
	if a, b := queued(s, "flood"), queued(s, "other"); a != 48 || b != 48 {
		t.Errorf("two floods hold %d and %d of 100 beside 4 light ones, want 48 each", a, b)
	}
	if n := queued(s, "light"); n != 4 {
		t.Errorf("the light flow holds %d, want its 4", n)
	}
}

func TestFill(t *testing.T) {
	cfg := testConfig(100)
	cfg.MaxBytes = 1000
	s := New(cfg)
	flood(s, 0, 20, "a", 0)
	s.Learn(0, 0, 0, 30, 200)
	s.LearnOthers(50, 300)
	band, made := s.Band(0)
	if f := band.Fill(); made || f != (Fill{0.5, 400 / 1e9}) {
		t.Errorf("20 of 100 here and 30 elsewhere: %+v", f)
	}
	if f := s.FillOfAll(); f != (Fill{0, 0.5}) {
		t.Errorf("200 of 1000 bytes here and 300 elsewhere, no cap on requests: %+v", f)
	}
	if band, made = s.Band(7); !made || band.Fill() != (Fill{}) {
		t.Errorf("a band that is new: %+v, made: %v", band.Fill(), made)
	}
}

func TestHigherBandDisplacesLowest(t *testing.T) {
	cfg := testConfig(1000)
	cfg.MaxRequests = 10
	s := New(cfg)
	flood(s, 0, 5, "low", -1)
	flood(s, 100, 5, "mid", 0)
	if gone, err := s.Add(ticket(200, "high", 5), start); err != nil || len(gone) != 1 || gone[0].ID.Seq != 4 {
		t.Errorf("displaced %v with error %v, want the newest of the lowest band, number 4", gone, err)
	}
	if _, err := s.Add(ticket(300, "low", -1), start); !errors.Is(err, ErrFull) {
		t.Errorf("an arrival of the lowest band at a full buffer: %v, want ErrFull", err)
	}
	flood(s, 400, 20, "high", 5)
	if n := queued(s, "high"); n != 10 {
		t.Errorf("the high band holds %d of 10", n)
	}
}

func TestCapsCountTheFleet(t *testing.T) {
	cfg := testConfig(10)
	cfg.MaxRequests = 15
	s := New(cfg)
	flood(s, 0, 1, "a", 0)
	s.Learn(0, 0, 0, 7, 70) // other replicas hold 7 of the band's 10
	s.Elsewhere(0, 0.1)     // no flow of theirs more than one
	if refused, _ := flood(s, 10, 5, "a", 0); refused != 3 {
		t.Errorf("%d of 5 were refused beside the 7 of others and 1 here, want 3", refused)
	}
	s.LearnOthers(12, 120) // and 12 of all bands' 15
	s.LowestElsewhere(0)
	if refused, displaced := flood(s, 100, 2, "b", 1); refused != 0 || displaced != 2 {
		t.Errorf("a higher band at the cap over all: %d refused, %d displaced; want 2 displaced", refused, displaced)
	}
}

// TestLargestElsewhereMakesRoom fills the buffer by a flow at another replica: what comes
// here is let in, up to a quarter more than the cap, and the other owner makes room.
func TestLargestElsewhereMakesRoom(t *testing.T) {
	here, there := New(testConfig(400)), New(testConfig(400))
	flood(there, 0, 400, "flood", 0)
	flood(here, 999, 1, "honest-0", 0)
	here.Learn(0, 0, 0, 400, 4000)
	if !here.NearlyFull() {
		t.Error("it is not time to ask what flows elsewhere hold")
	}
	for i := range 99 {
		if refused, displaced := flood(here, 1000+i, 1, fmt.Sprint("honest-", i%10), 0); refused+displaced > 0 {
			t.Fatalf("honest request %d: %d refused, %d displaced", i, refused, displaced)
		}
	}
	if refused, _ := flood(here, 2000, 1, "honest-0", 0); refused != 1 {
		t.Error("more than a quarter beyond the cap was let in")
	}
	there.Learn(0, 0, 0, 100, 1000)
	there.Elsewhere(0, here.Largest(0))
	trimmed := there.Trim(time.Time{})
	if len(trimmed) != 100 {
		t.Errorf("%d tickets made room, want 100", len(trimmed))
	}
	here.Learn(0, 0, 0, 300, 3000)
	here.Elsewhere(0, there.Largest(0))
	if trimmed := here.Trim(time.Time{}); len(trimmed) != 0 {
		t.Errorf("%d honest tickets were displaced", len(trimmed))
	}
}

// TestAheadCountsOnceItsRequestCame: a ticket ahead of its request counts as waiting once that
// came: as its ingress says at once, or with the next repetition in full if that was lost.
func TestAheadCountsOnceItsRequestCame(t *testing.T) {
	s := New(testConfig(1000))
	waiting := func() int64 {
		b, _ := s.Band(0)
		requests, _ := b.Queued()
		return requests
	}
	for i, came := range []func(Ticket){
		func(t Ticket) { s.Came(t.ID) },
		func(t Ticket) { _, _ = s.Add(t, start) },
	} {
		one := ticket(i, "a", 0)
		one.Ahead = true
		if _, err := s.Add(one, start); err != nil || waiting() != int64(i) {
			t.Fatalf("%d wait and %v, want %d before the request came", waiting(), err, i)
		}
		if place, _ := s.Place(one.ID); place.Ahead != i {
			t.Errorf("%d requests go before it, want %d", place.Ahead, i)
		}
		one.Ahead = false
		came(one)
		if waiting() != int64(i)+1 {
			t.Errorf("%d wait, want %d once the request came", waiting(), i+1)
		}
	}
	last := ticket(2, "a", 0)
	last.Ahead = true
	if _, err := s.Add(last, start); err != nil {
		t.Fatal(err)
	}
	before := 0
	s.Ahead(0, "b", 100, 100, func(_ policies.FlowKey, requests int) { before += requests })
	if before != 2 {
		t.Errorf("%d requests go before another flow's, want 2: the third has not come", before)
	}
}

// TestLowestBandElsewhereMakesRoom fills the buffer of all bands by a lower band at
// another replica.
func TestLowestBandElsewhereMakesRoom(t *testing.T) {
	cfg := testConfig(1000)
	cfg.MaxRequests = 30
	s := New(cfg)
	s.LearnOthers(30, 300)
	s.LowestElsewhere(-10)
	if refused, displaced := flood(s, 0, 8, "honest", 100); refused+displaced > 0 {
		t.Errorf("%d refused, %d displaced, though a lower band holds the buffer elsewhere", refused, displaced)
	}
	if trimmed := s.Trim(time.Time{}); len(trimmed) > 0 {
		t.Errorf("%d were displaced before the lower band", len(trimmed))
	}
	s.NobodyElsewhere()
	if refused, _ := flood(s, 100, 1, "honest", 100); refused != 1 {
		t.Error("let in beyond the cap with nobody to make room")
	}
}

// TestLoweredCapKeepsWhatWaits lowers a cap below what waits: only newcomers pay.
func TestLoweredCapKeepsWhatWaits(t *testing.T) {
	s := New(testConfig(100))
	flood(s, 0, 60, "a", 0)
	s = s.Rebuilt(testConfig(10), time.Time{})
	if trimmed := s.Trim(time.Time{}); len(trimmed) > 0 {
		t.Errorf("%d lost their places", len(trimmed))
	}
	if refused, displaced := flood(s, 100, 1, "b", 0); refused != 0 || displaced != 1 {
		t.Errorf("a newcomer: %d refused, %d displaced; want one for it", refused, displaced)
	}
}
