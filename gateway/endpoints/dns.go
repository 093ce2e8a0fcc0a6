package endpoints

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/internal/hostport"
)

// DNS is a Source of all addresses that a host name has, such as a headless
// Service's.
type DNS struct {
	// Host is the name, Port the endpoints' port.
	Host, Port string
	// Scheme is http by default.
	Scheme string
	// Every is how often it is resolved; 5 s by default. Shorter sees changes sooner
	// and asks the name server more.
	Every time.Duration
	// Resolve looks a name's addresses up; the system's resolver by default.
	Resolve func(ctx context.Context, host string) ([]string, error)
	// Logger gets resolution failures; nothing by default.
	Logger *zap.Logger
}

// NewDNS returns the source of host:port.
func NewDNS(hostPort string) (*DNS, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("%w: %q: give a host name and a port, such as vllm.default.svc:8000", ErrSpec, hostPort)
	}
	if err := hostport.Remote(hostPort); err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrSpec, hostPort, err)
	}
	return &DNS{Host: host, Port: port}, nil
}

// Run implements Source. A name that does not exist has no endpoints; while no name
// server answers, the endpoints stay.
func (d *DNS) Run(ctx context.Context, update func([]Spec)) error {
	c := *d
	if c.Every <= 0 {
		c.Every = 5 * time.Second
	}
	if c.Scheme == "" {
		c.Scheme = "http"
	}
	if c.Resolve == nil {
		c.Resolve = net.DefaultResolver.LookupHost
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	ticker := time.NewTicker(c.Every)
	defer ticker.Stop()
	var last []string
	failed := ""
	for resolved := false; ; {
		addresses, err := c.resolve(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if err.Error() != failed {
				failed = err.Error()
				c.Logger.Warn("the endpoints' name cannot be resolved; they stay as they are", zap.String("host", c.Host), zap.Error(err))
			}
		case !resolved || !slices.Equal(addresses, last):
			specs := make([]Spec, 0, len(addresses))
			for _, a := range addresses {
				specs = append(specs, At("", c.Scheme, a, c.Port))
			}
			update(specs)
			last, resolved, failed = addresses, true, ""
		default:
			failed = ""
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (d *DNS) resolve(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addresses, err := d.Resolve(ctx, d.Host)
	var missing *net.DNSError
	if errors.As(err, &missing) && missing.IsNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(addresses)
	addresses = slices.Compact(addresses)
	return addresses[:min(len(addresses), maxEndpoints)], nil
}
