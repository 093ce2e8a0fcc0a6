// Package hostport says what is wrong with addresses before anything listens there or is dialled:
// a listener that cannot be opened, and a name that no resolver takes.
package hostport

import (
	"errors"
	"net"
	"net/netip"
	"strings"
)

// What is wrong with an address.
var (
	// ErrForm is of what is not a host and a port.
	ErrForm = errors.New("must be a host and a port")
	// ErrHost is of a host that is no IP address and cannot be a name.
	ErrHost = errors.New("the host must be a name or an IP address")
	// ErrPort is of a port that is none that can be dialled.
	ErrPort = errors.New("the port must be from 1 to 65535")
	// ErrListenPort is of a port that is none that can be listened on; 0 stands for any free one.
	ErrListenPort = errors.New("the port must be from 0 to 65535")
)

// Listener checks an address to listen on. Without a host it is that of all addresses of this
// machine, and port 0 is any free one.
func Listener(address string) error {
	host, port, err := split(address)
	switch {
	case err != nil:
		return err
	case host != "" && !Host(host):
		return ErrHost
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return ErrListenPort
	}
	return nil
}

// Remote checks an address to connect to: both a host and a port.
func Remote(address string) error {
	host, port, err := split(address)
	switch {
	case err != nil:
		return err
	case !Host(host):
		return ErrHost
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
		return ErrPort
	}
	return nil
}

func split(address string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(address)
	if err != nil || port == "" {
		return "", "", ErrForm
	}
	return host, port, nil
}

// The longest names of hosts, and of their parts, in bytes (RFC 1035).
const longestName, longestLabel = 253, 63

// Host reports whether a text is an IP address, or a name that can be looked up.
func Host(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > longestName || isMistyped(host) {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > longestLabel || strings.ContainsFunc(label, foreign) {
			return false
		}
	}
	return true
}

// isMistyped reports whether a text is meant to be an IP address, which it is not: numbers with dots
// between them are no name that is given.
func isMistyped(host string) bool {
	return strings.Contains(host, ".") && !strings.ContainsFunc(host, func(c rune) bool { return c != '.' && (c < '0' || c > '9') })
}

// foreign reports whether no resolver takes a name with that character.
func foreign(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		return false
	}
	return true
}

// Collide reports whether only one of two addresses can be listened on: they have the same port,
// which is not 0, and hosts of which one is the other or stands for all. Names are compared as they
// are, but for localhost.
func Collide(a, b string) bool {
	hostA, portA, errA := split(a)
	hostB, portB, errB := split(b)
	if errA != nil || errB != nil || number(portA) != number(portB) || number(portA) == 0 {
		return false
	}
	return hostA == hostB || numeric(hostA) == numeric(hostB) || All(hostA) || All(hostB)
}

// number is a port's number; 0 for none.
func number(port string) int {
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		return 0
	}
	return n
}

// numeric is the IP address that a host is, or the host as it is.
func numeric(host string) string {
	if host == "localhost" {
		return "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}

// All reports whether a listener of that host takes all addresses: with IPv6 there, 0.0.0.0 takes
// those of both kinds.
func All(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}
