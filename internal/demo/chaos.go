package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weirflow/weir/controller/core"
)

// Phase is what happened in a run with chaos, and what it cost until the next
// thing did.
type Phase struct {
	// At is when it happened, in seconds from the start of the measuring.
	At    float64 `json:"at_seconds"`
	Event string  `json:"event"`
	// SettledMs is how long it took until all replicas agreed again on who owns
	// what, or had the ledger again; negative if they did not.
	SettledMs float64 `json:"settled_ms"`
	// PauseMs is the longest time without any dispatch.
	PauseMs           float64 `json:"longest_pause_ms"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	JainIndex         float64 `json:"jain_index"`
	InFlightPeak      int64   `json:"in_flight_peak"`
	// Lost counts requests whose connection broke with the replica it was to,
	// Failed all others that were not answered.
	Lost   int `json:"lost_with_their_replica"`
	Failed int `json:"failed"`
}

// step is something that happens to the fleet. It is over once it has settled.
type step struct {
	event   string
	do      func(context.Context) error
	settled func(context.Context) bool
}

// steps is what happens, in this order.
func (f *fleet) steps(wipe func(context.Context) error) []step {
	killed, cut := len(f.replicas)-1, len(f.replicas)-2
	cutOff, generation := false, uint64(0)
	agree := func(ctx context.Context) bool { return f.agree(ctx, cut, cutOff) }
	isolate := func(off bool) func(context.Context) error {
		return func(context.Context) error {
			cutOff = off
			f.cuts.set(f.at(cut).gossip, off)
			return nil
		}
	}
	return []step{
		{"undisturbed", func(context.Context) error { return nil }, agree},
		{replicaID(killed) + " killed", func(context.Context) error { f.kill(killed); return nil }, agree},
		{replicaID(killed) + " restarted", func(context.Context) error { return f.restart(killed) }, agree},
		{replicaID(cut) + " gossip cut", isolate(true), agree},
		{"gossip healed", isolate(false), agree},
		{
			"the store wiped",
			func(ctx context.Context) error {
				v, err := f.at(cut).controller.View(ctx)
				generation = v.Generation
				if err != nil {
					return err
				}
				return wipe(ctx)
			},
			func(ctx context.Context) bool { return f.connected(ctx, generation) },
		},
	}
}

// chaos lets the steps happen to the fleet under load, evenly over the time.
func (f *fleet) chaos(ctx context.Context, m *meter, over time.Duration, wipe func(context.Context) error, say func(Phase)) error {
	steps := f.steps(wipe)
	began := time.Now()
	for i, s := range steps {
		until := began.Add(over * time.Duration(i+1) / time.Duration(len(steps)))
		at := time.Now()
		before := m.mark()
		f.peak.Store(f.inFlight.Load())
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.event, err)
		}
		settled := -1.0
		for time.Now().Before(until) && ctx.Err() == nil {
			if settled < 0 && s.settled(ctx) {
				settled = ms(time.Since(at))
			}
			pause(ctx, min(5*time.Millisecond, time.Until(until)))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p := m.since(before)
		p.At, p.Event, p.SettledMs, p.InFlightPeak = at.Sub(began).Seconds(), s.event, settled, f.peak.Load()
		say(p)
	}
	return nil
}

func (f *fleet) at(i int) *replica {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.replicas[i]
}

// kill ends a replica as a crash would; its clients go to the next.
func (f *fleet) kill(i int) {
	r := f.at(i)
	turns, grants := r.controller.Turns()
	f.mu.Lock()
	f.replicas[i] = nil
	f.turns, f.grants = f.turns+turns, f.grants+grants
	f.mu.Unlock()
	r.severed.Store(true)
	ended, end := context.WithCancel(context.Background())
	end()
	r.streams.Close(ended) // they break at once
	f.killed.Go(r.stop)
}

func (f *fleet) restart(i int) error {
	r, err := f.startReplica(i, f.ledgers[i], true)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.replicas[i] = r
	f.mu.Unlock()
	return nil
}

// agree reports whether every replica draws the map of those it can gossip with,
// and reaches them.
func (f *fleet) agree(ctx context.Context, cut int, cutOff bool) bool {
	var others []string
	for _, r := range f.living() {
		if !cutOff || r.id != replicaID(cut) {
			others = append(others, r.id)
		}
	}
	for _, r := range f.living() {
		want := others
		if cutOff && r.id == replicaID(cut) {
			want = []string{r.id}
		}
		v, err := r.controller.View(ctx)
		if err != nil || !slices.Equal(v.Shards.Members(), want) {
			return false
		}
		for _, p := range v.Peers {
			if p.Live && !p.Reachable {
				return false
			}
		}
	}
	return true
}

// connected reports whether every replica has the ledger, in a generation after
// the given one.
func (f *fleet) connected(ctx context.Context, generation uint64) bool {
	for _, r := range f.living() {
		v, err := r.controller.View(ctx)
		if err != nil || v.Ledger != core.Connected || v.Generation <= generation {
			return false
		}
	}
	return true
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
