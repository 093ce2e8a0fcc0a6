package endpoints

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
)

// Bounds on a scrape, in bytes and time.
const (
	maxScrape     = 4 << 20
	scrapeTimeout = time.Second
)

// takeOver is how long an endpoint may go unread, and at least three intervals, before
// the next replica in the hash order reads it, too. So a reader is replaced when it has
// died and when it cannot reach the endpoint, without waiting for gossip.
const takeOver = 300 * time.Millisecond

// onDuty reports whether this replica is to read an endpoint now.
func (p *Pool) onDuty(e *Endpoint, since, now time.Time) bool {
	rank := p.board.rank(e.address)
	if rank == 0 {
		return true
	}
	last := since
	if foreign := time.Unix(0, e.foreign.Load()); foreign.After(last) {
		last = foreign
	}
	return now.Sub(last) > time.Duration(rank)*max(takeOver, 3*p.cfg.Interval)
}

// scrape reads an endpoint's metrics again and again, as far as it is this replica's
// duty. A failure leaves the last reading, which grows stale, and is logged when it is
// a new one.
func (p *Pool) scrape(e *Endpoint) {
	client := &http.Client{
		Timeout:       scrapeTimeout,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1, TLSClientConfig: &tls.Config{InsecureSkipVerify: p.cfg.MetricsAt.InsecureSkipVerify}}, //nolint:gosec // if it was asked for
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },                                                 // it reads this endpoint
	}
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(p.cfg.Interval)
	defer ticker.Stop()
	began, failed := time.Now(), ""
	for now := began; ; {
		if p.onDuty(e, began, now) {
			p.scrapes.Add(1)
			m, err := read(p.ctx, client, e.metricsURL(), p.names(e))
			switch {
			case p.ctx.Err() != nil:
				return
			case err == nil:
				e.take(m)
				p.board.read(coordinator.Reading{Endpoint: e.address, EndpointMetrics: *m})
				failed = ""
			case err.Error() != failed:
				failed = err.Error()
				p.cfg.Logger.Warn("a model server's metrics cannot be read", zap.String("endpoint", e.Name()), zap.Error(err))
			}
		}
		select {
		case <-p.ctx.Done():
			return
		case <-e.gone:
			return
		case now = <-ticker.C:
		}
	}
}

// take uses a reading if it is newer than the last.
func (e *Endpoint) take(m *policies.EndpointMetrics) {
	for {
		last := e.reading.Load()
		if last != nil && !m.ReadAt.After(last.ReadAt) || e.reading.CompareAndSwap(last, m) {
			return
		}
	}
}

// read takes one reading.
func read(ctx context.Context, client *http.Client, url string, names MetricNames) (*policies.EndpointMetrics, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	at := time.Now()
	res, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("scrape %s: status %d", url, res.StatusCode)
	}
	m, err := parseMetrics(io.LimitReader(res.Body, maxScrape), names)
	if err != nil {
		return nil, fmt.Errorf("scrape %s: %w", url, err)
	}
	m.ReadAt = at
	return m, nil
}
