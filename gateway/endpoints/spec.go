package endpoints

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"

	"github.com/weirflow/weir/internal/hostport"
)

// ErrSpec wraps what is wrong with an endpoint that a source lists.
var ErrSpec = errors.New("bad endpoint")

// Spec describes an endpoint, as its source does.
type Spec struct {
	// Name identifies it in logs; its address by default.
	Name string
	// URL has its scheme, host and port.
	URL *url.URL
	// Metrics is the URL of its own metrics; nil for /metrics under URL.
	Metrics *url.URL
	// Labels are the source's.
	Labels map[string]string
}

// Source knows which endpoints a pool has.
type Source interface {
	// Run calls update with all of them, and again whenever they change, until ctx
	// ends. The source logs problems on the way; meanwhile its last update holds.
	Run(ctx context.Context, update func([]Spec)) error
}

// ParseURL reads a model server's URL: scheme, host and port.
func ParseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, fmt.Errorf("%w: %q: give a URL such as http://127.0.0.1:8000", ErrSpec, raw)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil:
		return nil, fmt.Errorf("%w: %q: give scheme, host and port only", ErrSpec, u.Redacted())
	}
	if err := hostport.Remote((&Spec{URL: u}).Address()); err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrSpec, raw, err)
	}
	return u, nil
}

// At is the spec of the endpoint of that host and port.
func At(name, scheme, host, port string) Spec {
	return Spec{Name: name, URL: &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}}
}

// Address is the endpoint's host and port.
func (s *Spec) Address() string {
	if s.URL.Port() != "" {
		return s.URL.Host
	}
	port := "80"
	if s.URL.Scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(s.URL.Hostname(), port)
}

// Static is a Source whose endpoints never change.
type Static []Spec

// NewStatic returns the source of the model servers with the given URLs.
func NewStatic(urls ...string) (Static, error) {
	var specs Static
	for _, raw := range urls {
		u, err := ParseURL(raw)
		if err != nil {
			return nil, err
		}
		spec := Spec{URL: u}
		if slices.ContainsFunc(specs, func(s Spec) bool { return s.Address() == spec.Address() }) {
			return nil, fmt.Errorf("%w: %q: listed twice", ErrSpec, raw)
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// Run implements Source.
func (s Static) Run(ctx context.Context, update func([]Spec)) error {
	update(s)
	<-ctx.Done()
	return nil
}
