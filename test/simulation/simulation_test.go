package simulation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// draw returns the run of a seed: a fleet, its load and its faults.
func draw(seed uint64) Config {
	rng := rand.New(rand.NewPCG(seed, 1))
	cfg := Config{Seed: seed, Replicas: 1 + rng.IntN(4), Limit: int64(2 + rng.IntN(10)), Length: 24 * time.Second}
	cfg.Limit = max(cfg.Limit, int64(cfg.Replicas))
	for i := range 2 + rng.IntN(4) {
		flow := Flow{ID: fmt.Sprint("flow-", i), Weight: float64(1 + rng.IntN(3)), Clients: 4 * int(cfg.Limit)}
		for r := range cfg.Replicas {
			if len(flow.Replicas) == 0 || rng.IntN(2) == 0 {
				flow.Replicas = append(flow.Replicas, r)
			}
		}
		if i == 0 {
			flow.Replicas = nil
			for r := range cfg.Replicas {
				flow.Replicas = append(flow.Replicas, r)
			}
		}
		cfg.Flows = append(cfg.Flows, flow)
	}
	switch rng.IntN(5) {
	case 0:
		cfg.Wipes = 1 + rng.IntN(2)
	case 1:
		cfg.Outage = true
	case 2:
		cfg.Crash = true
	case 3:
		cfg.Loss = 0.02
	}
	if rng.IntN(2) == 0 {
		cfg.Cancel = 0.1
	}
	return cfg
}

func TestSeeds(t *testing.T) {
	seeds := uint64(100)
	if testing.Short() {
		seeds = 6
	}
	if s := os.Getenv("WEIR_SEEDS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("WEIR_SEEDS: %v", err)
		}
		seeds = n
	}
	for seed := range seeds {
		if _, err := Run(draw(seed)); err != nil {
			t.Error(err)
		}
	}
}

// TestSeedReplays runs a seed twice and compares what it measured.
func TestSeedReplays(t *testing.T) {
	cfg := draw(3)
	cfg.Wipes, cfg.Loss = 1, 0.02
	a, err1 := Run(cfg)
	b, err2 := Run(cfg)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if *a != *b {
		t.Errorf("the same seed gave %+v and %+v", *a, *b)
	}
}

// TestChecksCanFail breaks the fleet on purpose and wants each check to see it.
func TestChecksCanFail(t *testing.T) {
	base := draw(1)
	base.Replicas, base.Limit, base.Wipes, base.Outage, base.Crash, base.Loss = 2, 4, 0, false, false, 0
	base.Flows = []Flow{{ID: "a", Weight: 1, Clients: 16, Replicas: []int{0, 1}}, {ID: "b", Weight: 1, Clients: 16, Replicas: []int{1}}}
	if _, err := Run(base); err != nil {
		t.Fatalf("unbroken: %v", err)
	}
	for name, breakIt := range map[string]func(*store.Reply){
		"mail is read twice": func(r *store.Reply) { // a ticket of another number is granted too
			for _, m := range r.Mail {
				m.Ticket.Seq++
				r.Mail = append(r.Mail, m)
				r.Mail[len(r.Mail)-1].Number += 1 << 40
				return
			}
		},
		"grants are lost": func(r *store.Reply) {
			for i := range r.Mail {
				r.Mail[i].Kind &^= store.Granted
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := base
			cfg.Break = breakIt
			if _, err := Run(cfg); !errors.Is(err, errInvariant) {
				t.Errorf("got %v, want a broken invariant", err)
			}
		})
	}
}
