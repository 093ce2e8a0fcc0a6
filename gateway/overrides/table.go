package overrides

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/internal/duration"
	"github.com/weirflow/weir/store"
)

// Config says what a Table is for.
type Config struct {
	// Ledger keeps the overrides.
	Ledger store.Overriding
	// Changed is called with what holds whenever that changes, one call at a time.
	Changed func(*Set)
	// Noted is called with what was set or is over, for people.
	Noted func(of Subject, text string)
	// Every is how often the ledger is looked at; a second by default.
	Every time.Duration
	// Logger gets what goes wrong; nothing by default.
	Logger *zap.Logger
}

// Table is the overrides as a replica knows them. Its methods are safe for concurrent use.
type Table struct {
	cfg Config
	set atomic.Pointer[Set]

	mu     sync.Mutex // of looks at the ledger
	known  map[string]known
	failed bool // the last look did
	looked bool // one did not, before
}

// known is what is known of a name.
type known struct {
	store.Override
	set, until time.Time
}

// New returns a table that knows of nothing until it looks.
func New(cfg Config) *Table {
	if cfg.Every <= 0 {
		cfg.Every = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	t := &Table{cfg: cfg, known: make(map[string]known)}
	t.set.Store(&Set{})
	return t
}

// Run looks at the ledger again and again until ctx ends.
func (t *Table) Run(ctx context.Context) {
	ticker := time.NewTicker(t.cfg.Every)
	defer ticker.Stop()
	for {
		_ = t.Look(ctx) // it is logged, and tried again
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Set is what holds at the moment.
func (t *Table) Set() *Set { return t.set.Load() }

// ErrNothingSet says that there is no override to be taken back.
var ErrNothingSet = errors.New("nothing is set")

// Put sets something of a subject for a time, in place of what was set of it before.
func (t *Table) Put(ctx context.Context, of Subject, s Settings, holds time.Duration) error {
	if err := s.check(of, holds); err != nil {
		return err
	}
	value, err := json.Marshal(kept{s, holds})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return t.look(ctx, store.Override{Name: of.name(), Left: holds, Value: string(value)})
}

// Clear takes back what was set of a subject.
func (t *Table) Clear(ctx context.Context, of Subject) error {
	if err := t.Look(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	k := t.known[of.name()]
	t.mu.Unlock()
	if k.Value == "" {
		return ErrNothingSet
	}
	return t.look(ctx, store.Override{Name: of.name(), Left: time.Until(k.until)})
}

// Look finds out what the ledger keeps, and gives it what it lost.
func (t *Table) Look(ctx context.Context) error { return t.look(ctx) }

func (t *Table) look(ctx context.Context, put ...store.Override) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	all, err := t.cfg.Ledger.Overrides(ctx, put...)
	now := time.Now()
	if err == nil {
		if lost := t.lost(all, now); len(lost) > 0 {
			all, err = t.cfg.Ledger.Overrides(ctx, lost...)
		}
	}
	if failed := err != nil && ctx.Err() == nil; failed != t.failed {
		if t.failed = failed; failed {
			t.cfg.Logger.Warn("what operators set for a time cannot be read; what is known holds until its time is up", zap.Error(err))
		}
	}
	if err == nil {
		t.take(all, now)
	}
	for name, k := range t.known {
		if !k.until.After(now) {
			delete(t.known, name)
		}
	}
	t.publish()
	t.looked = t.looked || err == nil
	return err
}

// lost are the overrides that hold and that the ledger has not, or only an earlier one.
func (t *Table) lost(all []store.Override, now time.Time) (lost []store.Override) {
	kept := make(map[string]uint64, len(all))
	for i := range all {
		kept[all[i].Name] = all[i].Revision
	}
	for name, k := range t.known {
		if k.Revision > kept[name] && k.until.Sub(now) > time.Second {
			o := k.Override
			o.Left = k.until.Sub(now)
			lost = append(lost, o)
		}
	}
	return lost
}

// take takes in what the ledger keeps.
func (t *Table) take(all []store.Override, now time.Time) {
	for _, o := range all {
		if _, ok := subjectNamed(o.Name); ok && o.Revision > t.known[o.Name].Revision && o.Left <= longest {
			t.known[o.Name] = known{Override: o, set: time.UnixMilli(int64(o.Revision)), until: now.Add(o.Left)}
		}
	}
}

// publish makes what is known what holds, if that differs.
func (t *Table) publish() {
	next := &Set{of: make(map[Subject]*Override)}
	for name, k := range t.known {
		of, _ := subjectNamed(name)
		if v, ok := decode(of, k.Value); ok {
			next.list = append(next.list, Override{Subject: of, Settings: v.Settings, Holds: v.For, Set: k.set, Until: k.until})
		}
	}
	slices.SortFunc(next.list, func(a, b Override) int {
		return cmp.Or(cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Flow, b.Flow))
	})
	for i := range next.list {
		next.of[next.list[i].Subject] = &next.list[i]
	}
	before := t.set.Load()
	texts := differences(before, next)
	if len(texts) == 0 {
		return
	}
	t.set.Store(next)
	if t.cfg.Changed != nil {
		t.cfg.Changed(next)
	}
	if t.cfg.Noted != nil && t.looked { // what held before this replica began is no news
		for _, n := range texts {
			t.cfg.Noted(n.of, n.text)
		}
	}
}

// note is what became of a subject.
type note struct {
	of   Subject
	text string
}

// differences says what is set and over between two sets.
func differences(before, after *Set) (notes []note) {
	for i := range after.list {
		o := &after.list[i]
		if old := before.of[o.Subject]; old == nil || !old.Set.Equal(o.Set) {
			text := fmt.Sprintf("%s: %s, for %s", o.who(), o.Words(), duration.Short(o.Holds))
			if o.Why != "" {
				text += ": " + o.Why
			}
			notes = append(notes, note{o.Subject, text})
		}
	}
	for i := range before.list {
		if o := &before.list[i]; after.of[o.Subject] == nil {
			notes = append(notes, note{o.Subject, o.who() + ": as configured again"})
		}
	}
	return notes
}

// who is the subject for people.
func (s Subject) who() string {
	if s.Endpoint != "" {
		return "endpoint " + s.Endpoint
	}
	return "flow " + s.Flow
}
