// Package metering counts what flows use, by the hour, and hands it to the ledger, which
// adds up what all replicas counted and keeps it for 35 days.
//
// What was counted is handed over every few seconds and at the end. A replica that is
// killed loses what it had not handed over; one whose ledger is out of reach keeps it until
// it is back.
package metering

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/store"
)

// Config says what a Meter is for.
type Config struct {
	// Ledger keeps what was counted.
	Ledger store.Metering
	// Replica and Incarnation are this run's.
	Replica     string
	Incarnation uint64
	// Every is how often it is handed over; 5 s by default.
	Every time.Duration
	// Clock is the time; time.Now by default.
	Clock func() time.Time
	// Logger gets what goes wrong; nothing by default.
	Logger *zap.Logger
}

// Meter counts. It is safe for concurrent use.
type Meter struct {
	cfg    Config
	writer string // to the ledger, which takes each of its numbers once: no other meter's

	mu    sync.Mutex
	hours map[int64]map[string]*store.Usage // by the time the hour began, and by flow

	handing sync.Mutex // of what follows
	number  uint64
	pending *store.UsageBatch // whose answer did not come; nil for none
	failed  bool
}

// New returns a meter.
func New(cfg Config) *Meter {
	if cfg.Every <= 0 {
		cfg.Every = 5 * time.Second
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	return &Meter{
		cfg: cfg, writer: fmt.Sprintf("%s %d %s", cfg.Replica, cfg.Incarnation, rand.Text()[:8]),
		hours: make(map[int64]map[string]*store.Usage),
	}
}

// Count adds what a request used that has just ended.
func (m *Meter) Count(u *store.Usage) {
	hour := m.cfg.Clock().Truncate(time.Hour).Unix()
	m.mu.Lock()
	defer m.mu.Unlock()
	flows := m.hours[hour]
	if flows == nil {
		flows = make(map[string]*store.Usage)
		m.hours[hour] = flows
	}
	id := u.Flow
	if flows[id] == nil && len(flows) >= store.MaxUsageFlows {
		id = store.OtherFlows
	}
	if flows[id] == nil {
		flows[id] = &store.Usage{Flow: id}
	}
	flows[id].Add(u)
}

// Run hands over what was counted until ctx ends, and then what is left, within the time
// that a try may take.
func (m *Meter) Run(ctx context.Context) {
	ticker := time.NewTicker(m.cfg.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = m.HandOver(context.WithoutCancel(ctx)) // there is nobody left to try again
			return
		case <-ticker.C:
			_ = m.HandOver(ctx) // it is logged, and tried again
		}
	}
}

// within is how long a try may take.
const within = 2 * time.Second

// HandOver hands over what was counted until now, within the time that a try may take.
func (m *Meter) HandOver(ctx context.Context) error {
	m.handing.Lock()
	defer m.handing.Unlock()
	trying, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		if m.pending == nil {
			if m.pending = m.next(); m.pending == nil {
				return nil
			}
		}
		err := m.cfg.Ledger.AddUsage(trying, m.pending)
		if failed := err != nil && ctx.Err() == nil; failed != m.failed {
			if m.failed = failed; failed {
				m.cfg.Logger.Warn("what tenants use is counted and cannot be handed to the ledger: it is kept until that is back", zap.Error(err))
			}
		}
		if err != nil {
			return err
		}
		m.pending = nil
	}
}

// next takes out the oldest hour that something was counted in; nil if there is none.
func (m *Meter) next() *store.UsageBatch {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.hours) == 0 {
		return nil
	}
	oldest := int64(0)
	for hour := range m.hours {
		if oldest == 0 || hour < oldest {
			oldest = hour
		}
	}
	m.number++
	b := &store.UsageBatch{Hour: time.Unix(oldest, 0).UTC(), Writer: m.writer, Number: m.number}
	for _, u := range m.hours[oldest] {
		b.Flows = append(b.Flows, *u)
	}
	slices.SortFunc(b.Flows, func(a, b store.Usage) int { return strings.Compare(a.Flow, b.Flow) })
	delete(m.hours, oldest)
	return b
}
