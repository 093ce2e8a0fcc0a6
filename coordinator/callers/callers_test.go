package callers

import (
	"encoding/binary"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// from is a connection of an address.
type from struct {
	net.Conn
	ip net.IP
}

func (f *from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: f.ip, Port: 1} }

// hostOf returns an address of a network of IPv6 that is a host's own.
func hostOf(network uint32, host uint64) net.IP {
	ip := net.ParseIP("2001:db8::")
	binary.BigEndian.PutUint32(ip[4:], network)
	binary.BigEndian.PutUint64(ip[8:], host)
	return ip
}

// TestOldestLeaves has a connection of each of 128 networks, some there for longer than is patient: a
// newcomer of another one gets the place of the one that is there for longest, and no place where all
// have come just now.
func TestOldestLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, patience = 128, 250 * time.Millisecond
		b := New(most, 32, patience)
		var all []net.Conn
		enter := func() (*Caller, net.Conn) {
			all = append(all, &from{ip: hostOf(uint32(len(all)), 1)})
			return b.Enter(all[len(all)-1])
		}
		const old = 3
		for range old {
			enter()
			time.Sleep(time.Millisecond)
		}
		time.Sleep(patience)
		for range most - old {
			enter()
		}
		for i := range old {
			if c, over := enter(); c == nil || over.RemoteAddr().String() != all[i].RemoteAddr().String() {
				t.Errorf("newcomer %d: %v, and %v leaves, want %v to", i, c != nil, over.RemoteAddr(), all[i].RemoteAddr())
			}
		}
		if c, over := enter(); c != nil || over != all[len(all)-1] {
			t.Errorf("where all have come just now, %v leaves for a newcomer", over)
		}
	})
}

// TestNetworksOfIPv6 has one host connect a thousand times a second, each time from another address of
// its own network, as a host has 2^64 of them: that leaves the others their places.
func TestNetworksOfIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(128, 32, 250*time.Millisecond)
		left := make(map[string]bool)
		const every, needs = 1000, 20 // ms: how often another one connects, and how long it stays
		tries, served := 0, 0
		ours := &from{ip: hostOf(1, 1)}
		var caller *Caller
		for ms := range 10 * every {
			if _, over := b.Enter(&from{ip: hostOf(0, uint64(ms))}); over != nil {
				left[over.RemoteAddr().String()] = true
			}
			switch ms % every {
			case every / 2:
				tries++
				clear(left)
				caller, _ = b.Enter(ours)
			case every/2 + needs:
				if caller != nil && !left[ours.RemoteAddr().String()] {
					served++
				}
				caller.Leave()
			}
			time.Sleep(time.Millisecond)
		}
		if served < tries {
			t.Errorf("another one had a place for long enough %d times of %d", served, tries)
		}
	})
}

// TestNetworks wants the same of each way to write an address, and each of IPv4 for itself.
func TestNetworks(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1:80":            "192.0.2.1",
		"192.0.2.2:80":            "192.0.2.2",
		"[::ffff:192.0.2.1]:80":   "192.0.2.1",
		"[2001:db8:0:1::5]:80":    "2001:db8:0:1::/64",
		"[2001:db8:0:1:9::5]:80":  "2001:db8:0:1::/64",
		"[2001:db8:0:2::5]:80":    "2001:db8:0:2::/64",
		"[fe80::5%eth0]:80":       "fe80::/64%eth0",
		"[fe80::5%eth1]:80":       "fe80::/64%eth1",
		"/run/weir.sock":          "/run/weir.sock",
		"a host without a number": "a host without a number",
	} {
		if got := Network(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
