package picker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"
)

// lookSoon is how often a name is looked up at least while one of its pickers was lost, or none was
// ever connected: another may have taken its place. lookFor is how long a name server may take.
const lookSoon, lookFor = time.Second, 5 * time.Second

// name is a host name and a port. Each address that it has is a picker of its own, since one may
// hang while the others answer.
type name struct {
	hostPort, host, port string
	secure               *tls.Config

	at []string // the addresses that it had last, with the port; guarded by the pickers' mutex
}

// has reports whether a picker is one of the name, which others may be names of, too.
func (n *name) has(one *picker) bool { return one.of == n || slices.Contains(n.at, one.address) }

// add adds what was given as an address: a picker, or a name whose addresses are looked up from
// now on.
func (p *Pickers) add(cfg *Config, hostPort string) error {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return fmt.Errorf("picker %s: %w", hostPort, err)
	}
	n := &name{hostPort: hostPort, host: host, port: port, secure: cfg.TLS}
	if _, err := netip.ParseAddr(host); err == nil {
		_, _, err = p.settle(n, []string{host})
		return err
	}
	p.names = append(p.names, n)
	p.runs.Go(func() { p.follow(cfg, n) })
	return nil
}

// follow has the pickers of a name be those at its addresses, until the pickers are closed.
func (p *Pickers) follow(cfg *Config, n *name) {
	failed := ""
	for {
		ctx, cancel := context.WithTimeout(p.ctx, lookFor)
		hosts, err := cfg.Resolve(ctx, n.host)
		cancel()
		if err == nil {
			var came, went []string
			if came, went, err = p.settle(n, hosts); len(came)+len(went) > 0 {
				p.log.Info("a name's pickers have changed", zap.String("name", n.hostPort), zap.Strings("came", came), zap.Strings("went", went))
			}
		}
		switch {
		case p.ctx.Err() != nil:
			return
		case err == nil:
			failed = ""
		case err.Error() != failed:
			failed = err.Error()
			p.log.Warn("the pickers' name cannot be resolved; they stay as they are", zap.String("name", n.hostPort), zap.Error(err))
		}
		pause := cfg.Every
		if !p.steady(n) {
			pause = min(pause, lookSoon)
		}
		select {
		case <-p.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// steady reports whether one of the name's pickers is connected, and each that ever was.
func (p *Pickers) steady(n *name) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	has := false
	for _, one := range p.all {
		if !n.has(one) {
			continue
		}
		if one.met && !one.ready() {
			return false
		}
		has = has || one.ready()
	}
	return has
}

// never reports whether a picker was never connected while another of its name can be used. An
// address of a name may be out of reach for good, such as ::1 of localhost.
func (p *Pickers) never(one *picker) bool {
	return !one.met && slices.ContainsFunc(p.names, func(n *name) bool {
		return n.has(one) && slices.ContainsFunc(p.all, func(other *picker) bool { return n.has(other) && other.ready() && !other.standing.out })
	})
}

// errNoAddress says that a name has none.
var errNoAddress = errors.New("it has no address")

// settle has a name have pickers at those addresses, and no others once one of these is connected.
// It returns which came and went. Without an address those that there are stay: they are used for
// as long as they answer.
func (p *Pickers) settle(n *name, hosts []string) (came, went []string, _ error) {
	if len(hosts) == 0 {
		return nil, nil, errNoAddress
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, nil
	}
	var at []string
	for _, host := range hosts {
		at = append(at, net.JoinHostPort(host, n.port))
	}
	slices.Sort(at)
	n.at = slices.Compact(at)
	for _, address := range n.at {
		if slices.ContainsFunc(p.all, func(one *picker) bool { return one.address == address }) {
			continue // by another name, too
		}
		one, err := connect(address, n)
		if err != nil {
			return came, nil, err
		}
		ctx, stop := context.WithCancel(p.ctx)
		one.stop = stop
		p.all, came = append(p.all, one), append(came, address)
		p.runs.Go(func() { p.watch(ctx, one) })
	}
	here := func(one *picker) bool { return slices.Contains(n.at, one.address) }
	if !slices.ContainsFunc(p.all, func(one *picker) bool { return here(one) && one.ready() }) {
		return came, nil, nil
	}
	for _, one := range slices.Clone(p.all) {
		if one.of == n && !here(one) {
			p.retire(one)
			went = append(went, one.address)
		}
	}
	return came, went, nil
}

// retire has nothing more be asked of a picker. The streams that requests have go on.
func (p *Pickers) retire(one *picker) {
	p.all = slices.DeleteFunc(p.all, func(other *picker) bool { return other == one })
	p.retired = append(p.retired, one)
	one.gone = true
	one.stop()
	one.dropSpares()
	for _, o := range one.openings {
		if o.ahead() {
			o.cancelled()
		}
	}
	p.disconnect(one)
}

// disconnect ends the connection to a picker that is gone, once nothing goes on there.
func (p *Pickers) disconnect(one *picker) {
	at := slices.Index(p.retired, one)
	if at < 0 || one.streams > 0 || len(one.openings) > 0 {
		return
	}
	p.retired = slices.Delete(p.retired, at, at+1)
	_ = one.conn.Close() // nothing is left to be sent
}
