package endpoints

import (
	"net"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// An endpoint is ejected when a connection to it fails: nothing is sent there until a
// probe, which only connects, succeeds. It is then half open, with one request at a time,
// until it answers one; if a connection fails again, the next probe comes later. Each probe
// that fails doubles the pause before the next.
const (
	firstProbe = 250 * time.Millisecond
	lastProbe  = 8 * time.Second
)

// health is an endpoint's state.
type health struct {
	state  atomic.Int32
	ejects atomic.Int32 // in a row, without an answer in between
}

const (
	up int32 = iota
	halfOpen
	ejected
)

func (h *health) usable() bool { return h.state.Load() != ejected }

// reachable notes that an endpoint answered.
func (p *Pool) reachable(e *Endpoint) {
	// What an ejected one still answers came by a connection from before.
	if e.health.state.Load() == halfOpen && e.health.state.CompareAndSwap(halfOpen, up) {
		e.health.ejects.Store(0)
		p.cfg.Logger.Info("model server answers again", zap.String("endpoint", e.Name()))
	}
}

// unreachable takes an endpoint out of the choice until a probe gets through.
func (p *Pool) unreachable(e *Endpoint, cause error) {
	if p.ctx.Err() != nil || e.health.state.Swap(ejected) == ejected {
		return
	}
	ejects := e.health.ejects.Add(1)
	p.cfg.Logger.Warn("model server cannot be reached", zap.String("endpoint", e.Name()), zap.Error(cause))
	p.Notify()
	p.running.Go(func() { p.probe(e, min(lastProbe, firstProbe<<min(ejects-1, 10))) })
}

// probe connects to an endpoint again and again, ever more seldom, until that succeeds.
func (p *Pool) probe(e *Endpoint, pause time.Duration) {
	dialer := net.Dialer{Timeout: time.Second}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-e.gone:
			return
		case <-timer.C:
		}
		conn, err := dialer.DialContext(p.ctx, "tcp", e.address)
		if err == nil {
			_ = conn.Close() // that it could be made is enough
			e.health.state.Store(halfOpen)
			p.cfg.Logger.Info("model server can be reached again", zap.String("endpoint", e.Name()))
			p.Notify()
			return
		}
		pause = min(lastProbe, 2*pause)
		timer.Reset(pause)
	}
}
