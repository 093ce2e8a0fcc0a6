package endpoints

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
)

// Bounds on a scrape, in bytes and time.
const (
	maxScrape     = 4 << 20
	maxScrapeHead = 64 << 10 // of the answer's head
	scrapeTimeout = time.Second
)

const (
	// takeOver is how long an endpoint's reading may be overdue, and at least three
	// intervals, before the next replica in the hash order reads it, too. So a reader is
	// replaced when it has died and when it cannot reach the endpoint, without waiting
	// for gossip.
	takeOver = 300 * time.Millisecond
	// restEvery is how often an endpoint is read at which nothing goes on.
	restEvery = 2 * time.Second
	// unreadEvery is how often at least an endpoint is tried that cannot be read, while
	// nothing is in flight there and nobody waits; at first it is at every interval.
	unreadEvery = time.Second
	// restLook is how often the endpoints are looked at while nothing goes on at any of them
	// and nobody waits. A request that is sent to one has it read at once.
	restLook = 100 * time.Millisecond
	// looks is in how many parts the endpoints are looked at, one after the other in an
	// interval, so that they are not all read at the same moment.
	looks = 4
)

// scraper reads the endpoints' metrics, each as often as is worth it and as far as it is
// this replica's duty.
type scraper struct {
	pool *Pool
	// ctx ends the readings, and running counts them.
	ctx     context.Context //nolint:containedctx // the readings' life
	running *sync.WaitGroup
	client  http.Client
	wanted  chan *Endpoint // to be read at once
	waited  int            // looks in a row at which a request waited
	part    int            // that is looked at next
}

func newScraper(ctx context.Context, p *Pool, running *sync.WaitGroup) *scraper {
	return &scraper{
		pool: p, ctx: ctx, running: running, wanted: make(chan *Endpoint, 256),
		client: http.Client{
			Timeout: scrapeTimeout,
			Transport: &http.Transport{
				MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: maxScrapeHead,
				DisableCompression: true,                                                                // costs both ends more than it spares the network
				TLSClientConfig:    &tls.Config{InsecureSkipVerify: p.cfg.MetricsAt.InsecureSkipVerify}, //nolint:gosec // if it was asked for
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it reads this endpoint
		},
	}
}

// run reads until ctx ends.
func (s *scraper) run() {
	defer s.client.CloseIdleConnections()
	for range looks {
		s.look(time.Now())
	}
	pause := s.pool.cfg.Interval / looks
	timer, next := time.NewTimer(pause), time.Now().Add(pause)
	defer timer.Stop()
	after := func(now time.Time, pause time.Duration) {
		next = now.Add(pause)
		timer.Reset(pause)
	}
	for {
		select {
		case <-s.ctx.Done():
			return
		case e := <-s.wanted:
			now := time.Now()
			s.begin(e, now)
			if next.Sub(now) > pause { // it is no rest any more; and what is due is not put off by one after the other
				after(now, pause)
			}
		case now := <-timer.C:
			if s.rest(now) {
				after(now, max(restLook, s.pool.cfg.Interval))
				continue
			}
			s.look(now)
			after(now, pause)
		}
	}
}

// rest looks at all endpoints at once if nothing goes on at any of them and nobody waits, and
// reports whether it is so.
func (s *scraper) rest(now time.Time) bool {
	if !s.pool.resting() {
		return false
	}
	for range looks {
		s.look(now)
	}
	return true
}

// look begins the readings that are due in a part of the endpoints.
func (s *scraper) look(now time.Time) {
	if s.waited++; !s.pool.cfg.Waiting() {
		s.waited = 0
	}
	all := s.pool.Endpoints()
	s.part = (s.part + 1) % looks
	for i := s.part; i < len(all); i += looks {
		if s.due(all[i], now) {
			s.begin(all[i], now)
		}
	}
}

// pressed reports whether a request waits for longer than it takes to ask for leave: it
// may wait for what an endpoint would say.
func (s *scraper) pressed() bool { return s.waited > 1 }

// due reports whether this replica is to read an endpoint now. A reading that was taken at
// rest is held to be good until the next is due.
func (s *scraper) due(e *Endpoint, now time.Time) bool {
	every, resting := s.pool.cfg.Interval, !s.pressed() && e.resting()
	switch misses := e.misses.Load(); {
	case resting:
		every = max(every, restEvery)
	case misses > 1 && !s.pressed() && e.InFlight() == 0:
		every = max(every, min(unreadEvery, every<<min(misses-1, 10)))
	}
	read := now.Sub(e.lastRead())
	if resting && read < every+s.pool.late() {
		e.holds(now)
	}
	since := min(read, now.Sub(e.lastTried()))
	return since+s.pool.cfg.Interval/2 >= every && s.onDuty(e, now, every) // to the nearest look
}

// late is how much later than due a reading may come before another replica takes it.
func (p *Pool) late() time.Duration { return max(takeOver, 3*p.cfg.Interval) }

// onDuty reports whether this replica is to read an endpoint which is to be read so often.
func (s *scraper) onDuty(e *Endpoint, now time.Time, every time.Duration) bool {
	rank := time.Duration(s.pool.board.rank(e.address))
	if rank == 0 {
		return true
	}
	patience := rank * s.pool.late()
	if s.pressed() || e.own.inFlight.Load() > 0 { // the one on duty may not know that anything goes on
		interval := s.pool.cfg.Interval
		patience = min(patience, interval/2+rank*interval/8)
	}
	return now.Sub(e.lastHeard()) > every+patience
}

// begin begins a reading, unless one is under way.
func (s *scraper) begin(e *Endpoint, now time.Time) {
	if e.scraping.CompareAndSwap(false, true) {
		e.tried.Store(e.pool.since(now))
		s.running.Go(func() {
			s.scrape(e)
			e.scraping.Store(false)
		})
	}
}

// scrape takes a reading. A failure leaves the last one, which grows stale, and is logged
// when it is a new one.
func (s *scraper) scrape(e *Endpoint) {
	p := s.pool
	p.scrapes.Add(1)
	names := p.names(e)
	m, err := s.read(s.ctx, e.metricsURL(), newMetricsReader(&names))
	if err != nil {
		e.misses.Add(1)
	}
	switch {
	case s.ctx.Err() != nil:
	case err == nil:
		e.misses.Store(0)
		p.board.read(coordinator.Reading{Endpoint: e.address, EndpointMetrics: *m}, e.take(m))
		e.failed = ""
	case err.Error() != e.failed:
		e.failed = err.Error()
		p.cfg.Logger.Warn("a model server's metrics cannot be read", zap.String("endpoint", e.Name()), zap.Error(err))
	}
}

// pages lends the memory that pages are read into, a part at a time.
var pages = sync.Pool{New: func() any { return new([maxLine]byte) }}

// read takes one reading.
func (s *scraper) read(ctx context.Context, url string, reader metricsReader) (*policies.EndpointMetrics, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	at := time.Now()
	res, err := s.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	body := io.LimitReader(res.Body, maxScrape)
	defer func() {
		_, _ = io.Copy(io.Discard, body) // or the connection could not be used again
		_ = res.Body.Close()
	}()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("scrape %s: status %d", url, res.StatusCode)
	}
	page := pages.Get().(*[maxLine]byte)
	defer pages.Put(page)
	m := new(policies.EndpointMetrics)
	if err := reader.read(body, page[:], m); err != nil {
		return nil, fmt.Errorf("scrape %s: %w", url, err)
	}
	m.ReadAt = at
	return m, nil
}
