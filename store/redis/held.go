package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/store"
)

// heldKey is a hash that has what tenants hold in each pool by each replica, beside the pools'
// own keys, whose names have braces.
func (s *Server) heldKey() string { return s.cfg.Prefix + "held" }

// maxHoldingSize bounds what is taken for a holding, in bytes.
const maxHoldingSize = 1 << 20

// Exchange implements [store.Holdings]. What cannot be read is left out, and kept no longer.
func (s *Server) Exchange(ctx context.Context, put ...store.Holding) ([]store.Holding, error) {
	all, err := s.exchange(ctx, put)
	if goredis.HasErrorPrefix(err, "WRONGTYPE") {
		if err = s.client.Del(ctx, s.heldKey()).Err(); err == nil {
			all, err = s.exchange(ctx, put)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: what tenants hold in all pools: %w", store.ErrUnavailable, err)
	}
	return all, nil
}

func (s *Server) exchange(ctx context.Context, put []store.Holding) ([]store.Holding, error) {
	key := s.heldKey()
	var kept *goredis.MapStringStringCmd
	_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i := range put {
			h := &put[i]
			if len(h.Slots) == 0 {
				p.HDel(ctx, key, holdingField(h))
				continue
			}
			text, err := json.Marshal(h)
			if err != nil {
				return fmt.Errorf("pool %q: %w", h.Pool, err)
			}
			p.HSet(ctx, key, holdingField(h), text)
		}
		if len(put) > 0 {
			p.PExpire(ctx, key, 2*store.HoldingKept)
		}
		kept = p.HGetAll(ctx, key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.holdings(ctx, kept.Val())
}

// holdings reads what is kept, and removes what cannot be read.
func (s *Server) holdings(ctx context.Context, kept map[string]string) ([]store.Holding, error) {
	var all []store.Holding
	var wrong []string
	for field, text := range kept {
		var h store.Holding
		if len(text) > maxHoldingSize || json.Unmarshal([]byte(text), &h) != nil || holdingField(&h) != field || len(h.Slots) > store.MaxHolding {
			wrong = append(wrong, field)
			continue
		}
		for name, slots := range h.Slots {
			if !(slots > 0 && slots <= math.MaxInt32) {
				delete(h.Slots, name)
			}
		}
		all = append(all, h)
	}
	if len(wrong) > 0 {
		return all, s.client.HDel(ctx, s.heldKey(), wrong...).Err()
	}
	return all, nil
}

// holdingField is under which a holding is kept. No replica's id has spaces.
func holdingField(h *store.Holding) string { return h.Replica + " " + h.Pool }
