package redis

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/certtest"
	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// rules are all that a replica's user needs: its keys and channels, and what it does.
var rules = []string{
	"on", "resetpass", "~weir:*", "&weir:*", "-@all", "+@read", "+@write", "+@hash", "+@sortedset", "+@scripting", "+@pubsub", "+@connection",
	"+info", "+time", "+cluster|slots",
}

func setUser(t *testing.T, server *redistest.Server, password string) {
	t.Helper()
	command := []any{"ACL", "SETUSER", "weir"}
	for _, rule := range append(rules, ">"+password) {
		command = append(command, rule)
	}
	if err := server.Client().Do(t.Context(), command...).Err(); err != nil {
		t.Fatal(err)
	}
}

// turns returns a function that takes one turn after the other.
func turns(t *testing.T, l *Ledger) func() error {
	var number, generation uint64
	registered := false
	return func() error {
		number++
		s := &store.Statement{Replica: "a", Incarnation: 1, Number: number, Generation: generation, Register: !registered, Members: 1}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		reply, err := l.Turn(ctx, s)
		if err == nil {
			registered, generation = reply.Status == store.OK, reply.Generation
		}
		return err
	}
}

// TestTLS takes turns at a Redis that wants a certificate of who connects, and a user
// with the rights that a replica needs and no others.
func TestTLS(t *testing.T) {
	ca, strangers := certtest.New(t), certtest.New(t)
	cert, key := ca.Issue("redis")
	address := freeport.Address(t)
	_, port, _ := net.SplitHostPort(address)
	server := redistest.Start(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca.File, "--tls-auth-clients", "yes")
	setUser(t, server, "secret")
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{URL: "rediss://weir@" + address, PasswordFile: password, CAFile: ca.File}
	cfg.CertFile, cfg.KeyFile = ca.Issue("replica")
	ledger, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close() //nolint:errcheck // a test
	turn := turns(t, ledger)
	for range 3 {
		if err := turn(); err != nil {
			t.Fatal(err)
		}
	}
	for name, spoil := range map[string]func(*Config){
		"no certificate":              func(c *Config) { c.CertFile, c.KeyFile = "", "" },
		"another CA's certificate":    func(c *Config) { c.CertFile, c.KeyFile = strangers.Issue("replica") },
		"another CA for the server's": func(c *Config) { c.CAFile = strangers.File },
		"the system's CAs":            func(c *Config) { c.CAFile = "" },
		"a CA file without one":       func(c *Config) { c.CAFile = password },
		"a key of another":            func(c *Config) { c.KeyFile = key },
		"another user":                func(c *Config) { c.URL = "rediss://nobody@" + address },
	} {
		wrong := cfg
		spoil(&wrong)
		if l, err := Open(t.Context(), wrong); err == nil {
			_ = l.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

// TestChannels has a user that may use no channels, as Redis makes them: the ledger does not open, and
// says why. Where the right is withdrawn later, turns go on as they are, without wake-ups.
func TestChannels(t *testing.T) {
	server := redistest.Start(t)
	setUser(t, server, "secret")
	t.Setenv(PasswordVariable, "secret")
	channels := func(rule string) {
		t.Helper()
		if err := server.Client().Do(t.Context(), "ACL", "SETUSER", "weir", rule).Err(); err != nil {
			t.Fatal(err)
		}
	}
	cfg := Config{URL: "redis://weir@" + server.Address}
	for _, rule := range []string{"resetchannels", "-publish", "-subscribe"} {
		channels(rule)
		if l, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "channels of the prefix") {
			t.Errorf("%s: %v", rule, err)
			if err == nil {
				_ = l.Close()
			}
		}
		setUser(t, server, "secret")
	}
	l, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test
	channels("resetchannels")
	numbers, generation := map[string]uint64{}, uint64(0)
	turn := func(replica string, edit func(*store.Statement)) *store.Reply {
		t.Helper()
		s := &store.Statement{
			Replica: replica, Incarnation: 1, Number: numbers[replica] + 1, Answered: numbers[replica], Generation: generation, Members: 2,
			Bands: []store.Band{{Policy: "fair", CountsService: true, LiftsIdle: true, Limit: 2}},
		}
		edit(s)
		r, err := l.Turn(t.Context(), s)
		if err != nil {
			t.Fatalf("%s: %v", replica, err)
		}
		numbers[replica]++
		generation = r.Generation
		return r
	}
	for _, replica := range []string{"a", "b"} {
		turn(replica, func(s *store.Statement) { s.Register = true })
	}
	turn("a", func(s *store.Statement) {
		s.Offers = []store.Offer{{Ticket: policies.TicketID{Ingress: "b", Seq: 1}, Flow: "f", Charge: 1}}
	})
	if r := turn("b", func(*store.Statement) {}); len(r.Messages) != 1 {
		t.Errorf("%+v is told to the replica that was not woken, want its grant", r.Messages)
	}
}

// TestPasswordChanges changes a user's password at the server and in the file, with the
// connections cut.
func TestPasswordChanges(t *testing.T) {
	server := redistest.Start(t)
	setUser(t, server, "first")
	password := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(password, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	l, err := Open(t.Context(), Config{URL: "redis://weir@" + server.Address, PasswordFile: password})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test
	turn := turns(t, l)
	if err := turn(); err != nil {
		t.Fatal(err)
	}
	setUser(t, server, "second")
	if err := server.Client().Do(t.Context(), "CLIENT", "KILL", "USER", "weir").Err(); err != nil {
		t.Fatal(err)
	}
	if err := turn(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("with a password that is no longer right: %v", err)
	}
	write("second\n")
	until(t, "the new password is taken", func() bool { return turn() == nil })
}
