package config

import (
	"errors"
	"net"
	"strconv"

	"github.com/weirflow/weir/internal/hostport"
)

// listener is an address that a replica listens on.
type listener struct{ path, address string }

// listeners checks the addresses that the replica listens on, and that no two are the same.
func (b *builder) listeners() {
	w := &b.file.Weir
	all := []listener{{"weir.listen", w.Listen}, {"weir.admin", w.Admin}}
	if w.ExtProc.Listen != "" {
		all = append(all, listener{"weir.extProc.listen", w.ExtProc.Listen})
	}
	if w.Fleet.Gossip != "" {
		all = append(all, listener{"weir.fleet.gossip", w.Fleet.Gossip})
	}
	beside := len(all)
	all = append(all, listener{"weir.fleet.peer", w.Fleet.Peer}) // which is opened only with gossip
	for i, l := range all {
		b.address(l.path, l.address)
		for _, before := range all[:i] {
			if (i < beside || w.Fleet.Gossip != "") && hostport.Collide(before.address, l.address) {
				b.wrong(l.path, "%s listens there, with %q; give each its own port", b.called(before.path, l.path), before.address)
				break
			}
		}
	}
}

// address checks an address to listen on.
func (c *checks) address(path, address string) {
	c.reachable(path, address, hostport.Listener(address))
}

// remote checks an address to connect to.
func (c *checks) remote(path, address string) { c.reachable(path, address, hostport.Remote(address)) }

func (c *checks) reachable(path, address string, err error) {
	switch {
	case err == nil:
	case errors.Is(err, hostport.ErrForm):
		port := "8080"
		if _, err := strconv.ParseUint(address, 10, 16); err == nil {
			port = address
		}
		c.wrong(path, "%v, such as 127.0.0.1:%s", err, port)
	default:
		c.wrong(path, "%v", err)
	}
}

// advertised checks by which address others reach this replica's gossip.
func (c *checks) advertised(f *Fleet) {
	const gossip, advertise = "weir.fleet.gossip", "weir.fleet.advertise"
	if f.Advertise != "" {
		switch ip := net.ParseIP(f.Advertise); {
		case ip == nil:
			c.wrong(advertise, "must be an IP address")
		case ip.IsUnspecified() || ip.IsMulticast():
			c.wrong(advertise, "others cannot reach it; give an IP address of this machine")
		}
		return
	}
	host, _, err := net.SplitHostPort(f.Gossip)
	if err == nil && hostport.All(host) {
		c.later(gossip, "it does not say by which of this machine's addresses others reach it; give %s, too", c.called(advertise, gossip))
	}
}
