package gossip

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/stream"
)

// Fleet is a replica's membership and its streams. It implements
// coordinator.Fleet, and is safe for concurrent use.
type Fleet struct {
	cfg     Config
	list    *memberlist.Memberlist
	streams *stream.Streams
	handler coordinator.Handler
	listen  atomic.Pointer[coordinator.Listener]
	address atomic.Pointer[string]
	changes chan struct{}
	quit    chan struct{}
	once    sync.Once
	running sync.WaitGroup
	leaving atomic.Bool

	// mu is taken while memberlist holds its own lock, so memberlist is not
	// called under it.
	mu        sync.Mutex
	ledger    coordinator.Ledger
	settings  []coordinator.Setting
	known     map[string]known     // who gossips
	dead      map[string]time.Time // when they were noticed to be
	ended     map[string]end       // the latest run whose process is known to have ended
	suspected map[string]uint64    // incarnations that did not answer when their stream broke
	said      map[[2]string]bool   // what was logged of replicas that were not taken in
	taken     error                // another process has our id
	dupes     chan error
}

// New binds the gossip's address. The replica has no members until Start.
func New(cfg Config) (*Fleet, error) {
	cfg = cfg.withDefaults()
	f := &Fleet{
		cfg: cfg, streams: cfg.Streams, ledger: cfg.Ledger, settings: cfg.Settings, changes: make(chan struct{}, 1), quit: make(chan struct{}),
		known: make(map[string]known), dead: make(map[string]time.Time), ended: make(map[string]end), suspected: make(map[string]uint64), said: make(map[[2]string]bool),
		dupes: make(chan error, 1),
	}
	m, err := cfg.memberlist()
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	d := delegate{f}
	m.Delegate, m.Events, m.Alive, m.Merge, m.Conflict = d, d, d, d, d
	if f.list, err = memberlist.Create(m); err != nil {
		_ = m.Transport.Shutdown() // the other error says more
		return nil, fmt.Errorf("gossip on %s: %w", cfg.Bind, err)
	}
	address := f.list.LocalNode().Address()
	f.address.Store(&address)
	return f, nil
}

// Address returns where the others reach the gossip.
func (f *Fleet) Address() string {
	if address := f.address.Load(); address != nil {
		return *address
	}
	return "" // it does not gossip yet
}

// Join asks the seeds for the fleet. It fails at once if this replica's id is
// taken by a live one, and otherwise only returns how many seeds answered: Start keeps
// trying. A replica that has just died under this id at another address counts as live
// until the others have noticed, so Join waits for that; one that was at this replica's
// own address is replaced at once.
func (f *Fleet) Join(ctx context.Context) (answered int, err error) {
	for deadline := time.Now().Add(6 * time.Second); ; {
		f.mu.Lock()
		f.taken = nil
		f.mu.Unlock()
		answered, joinErr := f.join()
		f.mu.Lock()
		err = f.taken
		f.mu.Unlock()
		if err == nil {
			if joinErr != nil && answered == 0 && len(f.cfg.Seeds) > 0 {
				f.cfg.Logger.Warn("no seed answers yet; serving meanwhile", zap.Strings("seeds", f.cfg.Seeds), zap.Error(joinErr))
			}
			return answered, nil
		}
		if time.Now().After(deadline) {
			return answered, fmt.Errorf("join the fleet: %w", err)
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return answered, ctx.Err()
		}
	}
}

// join asks every seed but this replica itself.
func (f *Fleet) join() (int, error) {
	self := f.Address()
	seeds := slices.DeleteFunc(slices.Clone(f.cfg.Seeds), func(s string) bool { return s == self })
	if len(seeds) == 0 {
		return 0, nil
	}
	return f.list.Join(seeds)
}

// Duplicate returns a channel that gets an error when another live process turns
// out to run under this replica's id.
func (f *Fleet) Duplicate() <-chan error { return f.dupes }

func (f *Fleet) duplicate(err error) {
	f.mu.Lock()
	f.taken = err
	f.mu.Unlock()
	select {
	case f.dupes <- err:
	default:
	}
}

// Start implements coordinator.Fleet.
func (f *Fleet) Start(h coordinator.Handler) {
	f.handler = h
	f.streams.Broken, f.streams.Ended = f.suspect, f.noteEnd
	f.streams.Start(h)
	f.changed()
	f.running.Go(f.follow)
	f.running.Go(f.rejoin)
}

// Send implements coordinator.Fleet.
func (f *Fleet) Send(m coordinator.Message) { f.streams.Send(m) }

// Broadcast implements coordinator.Broadcaster.
func (f *Fleet) Broadcast(o coordinator.Observations) { f.streams.Broadcast(o) }

// Ask implements coordinator.Questions.
func (f *Fleet) Ask(ctx context.Context, question []byte) []coordinator.Answer {
	return f.streams.Ask(ctx, question)
}

// AnswerWith implements coordinator.Questions.
func (f *Fleet) AnswerWith(answer func(ctx context.Context, question []byte) ([]byte, error)) {
	f.streams.AnswerWith(answer)
}

// Listen implements coordinator.Broadcaster.
func (f *Fleet) Listen(l coordinator.Listener) {
	f.listen.Store(&l)
	f.streams.Listen(l)
	l.Live(ids(f.members().Live))
}

// Retire informs the others that this replica owns nothing from now on.
func (f *Fleet) Retire() {
	if !f.leaving.Swap(true) {
		_ = f.list.UpdateNode(time.Second) // the streams tell it, too
	}
}

// Ledger implements coordinator.Fleet.
func (f *Fleet) Ledger() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ledger.Identity
}

// SetLedger implements coordinator.Fleet.
func (f *Fleet) SetLedger(identity string) {
	f.mu.Lock()
	changed := f.ledger.Identity != identity
	f.ledger.Identity = identity
	f.mu.Unlock()
	f.streams.SetLedger(identity)
	if changed {
		f.announce()
	}
}

// SetSettings replaces this replica's settings.
func (f *Fleet) SetSettings(settings []coordinator.Setting) {
	f.mu.Lock()
	f.settings = settings
	f.mu.Unlock()
	f.announce()
}

// announce sends the others this replica's new metadata, and reconsiders theirs.
func (f *Fleet) announce() {
	_ = f.list.UpdateNode(time.Second) // whom it does not reach learns by the next exchange
	f.changed()
}

// Leave implements coordinator.Fleet. A second call does nothing.
func (f *Fleet) Leave(ctx context.Context) (err error) {
	f.once.Do(func() { err = f.leave(ctx) })
	return err
}

func (f *Fleet) leave(ctx context.Context) error {
	f.Retire() // so that the others do not take it for dead
	close(f.quit)
	f.running.Wait()
	err := f.list.Leave(time.Second)
	f.streams.Close(ctx)
	if stop := f.list.Shutdown(); err == nil {
		err = stop
	}
	if err != nil {
		return fmt.Errorf("leave the gossip: %w", err)
	}
	return nil
}
