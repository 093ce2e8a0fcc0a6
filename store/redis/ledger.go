package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/store"
)

// Ledger implements [store.Ledger]. It is safe for concurrent use.
type Ledger struct {
	cfg     Config
	client  goredis.UniversalClient
	cluster *goredis.ClusterClient // the client, if it is a cluster's
	root    string                 // of the pool's keys
	publish string                 // the command that wakes
	turns   *runner
	owned   bool // the client is this ledger's alone
}

// Server is a Redis that keeps the ledgers of several pools. It is safe for concurrent use.
type Server struct {
	cfg    Config
	client goredis.UniversalClient
	turns  *runner
	at     string // addresses, for errors
}

// Connect connects to Redis when that is first needed.
func Connect(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, client: goredis.NewUniversalClient(options), turns: newRunner(&turn, cfg.ByScript), at: strings.Join(options.Addrs, ",")}, nil
}

// Close ends the connections, once the ledgers are closed.
func (s *Server) Close() error { return s.client.Close() }

// Open checks that Redis can keep the pool's ledger. An error names what to change.
func (s *Server) Open(ctx context.Context, pool string) (*Ledger, error) {
	l := &Ledger{
		cfg: s.cfg, client: s.client, turns: s.turns, publish: "PUBLISH",
		root: s.cfg.Prefix + "{" + strings.NewReplacer("{", "(", "}", ")").Replace(pool) + "}",
	}
	l.cfg.Pool = pool
	if l.cluster, _ = l.client.(*goredis.ClusterClient); l.cluster != nil {
		l.publish = "SPUBLISH"
	}
	for tries := 1; ; tries++ {
		err := l.check(ctx)
		if err == nil {
			return l, nil
		}
		if !late(err) || tries == openTries || ctx.Err() != nil {
			return nil, fmt.Errorf("redis at %s: %w", s.at, err)
		}
	}
}

// openTries is how often a Redis that is late to answer is asked whether it can keep a ledger: it
// may be busy just now.
const openTries = 6

// late reports whether an answer did not come in time.
func late(err error) bool {
	var timed interface{ Timeout() bool }
	return errors.As(err, &timed) && timed.Timeout()
}

// Open connects to Redis and checks that it can keep the ledger of the configuration's pool.
// An error names what to change.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	s, err := Connect(cfg)
	if err != nil {
		return nil, err
	}
	l, err := s.Open(ctx, s.cfg.Pool)
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	l.owned = true
	return l, nil
}

// Close implements [store.Ledger].
func (l *Ledger) Close() error {
	if !l.owned {
		return nil // other pools may use the connections
	}
	return l.client.Close()
}

// Turn implements [store.Ledger].
func (l *Ledger) Turn(ctx context.Context, s *store.Statement) (*store.Reply, error) {
	if err := s.Implausible(); err != nil {
		return nil, err
	}
	result, err := l.turns.run(ctx, l.client, l.root, arguments(l.settings(), s)...).Slice()
	switch {
	case goredis.HasErrorPrefix(err, "SUPERSEDED"):
		return nil, fmt.Errorf("replica %q: %w", s.Replica, store.ErrSuperseded)
	case goredis.HasErrorPrefix(err, "FORMAT"):
		return nil, fmt.Errorf("turn %d in format %s: %w", s.Number, ledgerFormat, otherFormat(err))
	case goredis.HasErrorPrefix(err, "DAMAGED"):
		return nil, fmt.Errorf("%w: turn %d: what Redis keeps of the ledger is not what it was, and the ledger begins anew: %w", store.ErrUnavailable, s.Number, turn.locate(err))
	case err != nil:
		if l.cluster != nil { // by itself the client asks every ten seconds who holds which slot
			l.cluster.ReloadState(ctx)
		}
		return nil, fmt.Errorf("%w: turn %d: %w", store.ErrUnavailable, s.Number, turn.locate(err))
	}
	reply, err := decode(result)
	if err != nil {
		return nil, fmt.Errorf("%w: turn %d: %w", store.ErrUnavailable, s.Number, err)
	}
	return reply, nil
}

// otherFormat reads the script's error FORMAT with the format of those that keep the ledger
// and what they hold, a number or "-".
func otherFormat(err error) *store.OtherFormatError {
	words := strings.Fields(err.Error())
	other := &store.OtherFormatError{Format: "(unreadable)", Held: -1}
	if len(words) > 1 {
		other.Format = words[1]
	}
	if len(words) > 2 {
		if held, err := strconv.ParseInt(words[2], 10, 64); err == nil && held >= 0 {
			other.Held = held
		}
	}
	return other
}

// minVersion is the first Redis whose scripts replicate their effects by
// default and whose commands the script uses.
const minVersion = "6.0"

// check finds out whether Redis can keep a ledger, before it is needed.
func (l *Ledger) check(ctx context.Context) error {
	if err := l.client.Ping(ctx).Err(); err != nil {
		return explain(err)
	}
	if info, err := l.client.Info(ctx, "server").Result(); err == nil { // a server without INFO is taken at its word
		if _, after, found := strings.Cut(info, "redis_version:"); found {
			version, _, _ := strings.Cut(after, "\r")
			if older(version, minVersion) {
				return fmt.Errorf("its version is %s; %s or later is needed", version, minVersion)
			}
		}
	}
	typ, err := l.client.Type(ctx, l.root).Result()
	if err != nil {
		return explain(err)
	}
	if typ != "hash" && typ != "none" {
		return fmt.Errorf("the key %q is there already and is a %s, not a hash: delete it, or choose another prefix or pool name", l.root, typ)
	}
	if err := l.turns.run(ctx, l.client, l.root).Err(); err != nil {
		return fmt.Errorf("take a turn: %w", explain(err))
	}
	if err := l.checkWakeups(ctx); err != nil {
		return fmt.Errorf("wake other replicas: %w", explain(err))
	}
	l.turns.tidy(ctx, l.client, l.root)
	return nil
}

// older compares versions by their first two numbers.
func older(version, than string) bool {
	var a, b [2]int
	if _, err := fmt.Sscanf(version, "%d.%d", &a[0], &a[1]); err != nil {
		return false // not a number: some other server that speaks the protocol
	}
	if _, err := fmt.Sscanf(than, "%d.%d", &b[0], &b[1]); err != nil {
		return false
	}
	return a[0] < b[0] || a[0] == b[0] && a[1] < b[1]
}

// explain says what to change where Redis's own words do not.
func explain(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "NOAUTH"):
		return fmt.Errorf("a password is needed: set %s or give a password file (%w)", PasswordVariable, err)
	case strings.Contains(text, "WRONGPASS"), strings.Contains(text, "invalid password"), strings.Contains(text, "without any password configured"):
		return fmt.Errorf("the user or password is wrong: correct %s, the password file or the URL's user (%w)", PasswordVariable, err)
	case strings.Contains(text, "NOPERM"):
		return fmt.Errorf("the user may not do what the ledger needs: allow it the commands, and the keys and channels of the prefix (%w)", err)
	case errors.Is(err, context.DeadlineExceeded), strings.Contains(text, "timeout"):
		return fmt.Errorf("no answer in time: is it a Redis, and is the address right? (%w)", err)
	case strings.Contains(text, "can't parse"), strings.Contains(text, "unexpected"), strings.Contains(text, "EOF"), strings.Contains(text, "reset by peer"):
		return fmt.Errorf("what answers there does not speak Redis's protocol: check the address (%w)", err)
	default:
		return err
	}
}
