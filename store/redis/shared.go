package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/store"
)

// identityKey holds the ledger's identity, leaseholdersKey a sorted set of who has held a
// lease, by when that was last attested. Both stand beside the ledger's formats.
func (l *Ledger) identityKey() string     { return l.root + ":identity" }
func (l *Ledger) leaseholdersKey() string { return l.root + ":leaseholders" }

// Identity implements [store.Shared].
func (l *Ledger) Identity(ctx context.Context, known string) (string, error) {
	if known == "" {
		known = rand.Text()
	}
	var identity *goredis.StringCmd
	_, err := l.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		p.SetNX(ctx, l.identityKey(), known, l.cfg.KeyTTL)
		p.Expire(ctx, l.identityKey(), l.cfg.KeyTTL)
		identity = p.Get(ctx, l.identityKey())
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("%w: its identity: %w", store.ErrUnavailable, err)
	}
	if len(identity.Val()) > maxIdentity {
		return "", fmt.Errorf("%w: the key %q does not hold an identity: delete it", store.ErrUnavailable, l.identityKey())
	}
	return identity.Val(), nil
}

// maxIdentity bounds what is taken for an identity, in bytes.
const maxIdentity = 64

// Attest implements [store.Shared].
func (l *Ledger) Attest(ctx context.Context, replica string, incarnation uint64) error {
	now, key := l.now(), l.leaseholdersKey()
	_, err := l.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		p.ZAdd(ctx, key, goredis.Z{Score: float64(now.Unix()), Member: fmt.Sprintf("%s %d", replica, incarnation)})
		p.ZRemRangeByScore(ctx, key, "-inf", strconv.FormatInt(now.Add(-store.LeaseholderTTL).Unix()-1, 10))
		p.Expire(ctx, key, l.cfg.KeyTTL)
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: attest a lease: %w", store.ErrUnavailable, err)
	}
	return nil
}

// Leaseholders implements [store.Shared]. An entry that cannot be read is left out.
func (l *Ledger) Leaseholders(ctx context.Context) (map[string]uint64, error) {
	since := strconv.FormatInt(l.now().Add(-store.LeaseholderTTL).Unix(), 10)
	entries, err := l.client.ZRangeByScore(ctx, l.leaseholdersKey(), &goredis.ZRangeBy{Min: since, Max: "+inf"}).Result()
	if err != nil && !errors.Is(err, goredis.Nil) {
		return nil, fmt.Errorf("%w: who holds leases: %w", store.ErrUnavailable, err)
	}
	runs := make(map[string]uint64, len(entries))
	for _, entry := range entries {
		at := strings.LastIndexByte(entry, ' ')
		if at < 0 {
			continue
		}
		if run, err := strconv.ParseUint(entry[at+1:], 10, 64); err == nil {
			runs[entry[:at]] = max(runs[entry[:at]], run)
		}
	}
	return runs, nil
}

func (l *Ledger) now() time.Time {
	if l.cfg.Clock != nil {
		return l.cfg.Clock()
	}
	return time.Now()
}
