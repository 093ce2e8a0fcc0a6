package replica

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
	"github.com/weirflow/weir/store/redis"
)

// ledgers are where the pools' ledgers are: in one Redis, or in this process's memory.
type ledgers struct {
	server *redis.Server // nil for memory
}

func newLedgers(plan *config.Plan, log *zap.Logger) (*ledgers, error) {
	w := &plan.File.Weir
	if w.Store.Redis == "" {
		return &ledgers{}, nil
	}
	s, err := redis.Connect(redis.Config{
		URL: w.Store.Redis, PasswordFile: w.Store.PasswordFile, CertFile: w.Store.Cert, KeyFile: w.Store.Key, CAFile: w.Store.CA,
		Prefix: w.Store.Prefix, Timings: timings(plan), ByScript: func(why error) { sayHowTurnsAreTaken(log, why) },
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", plan.Name("weir.store.redis"), err)
	}
	return &ledgers{server: s}, nil
}

// sayHowTurnsAreTaken logs what a turn is in Redis, and why it is not a library's function.
func sayHowTurnsAreTaken(log *zap.Logger, why error) {
	if why == nil {
		log.Info("Redis takes turns by the function of a library again")
		return
	}
	log.Info("Redis takes turns by a script, which costs it more than the function of a library", zap.Error(why))
}

func timings(plan *config.Plan) store.Timings {
	s := &plan.File.Weir.Store
	return store.Timings{Lease: time.Duration(*s.Lease), KeepLost: time.Duration(*s.KeepLost)}
}

// ledger is what a replica needs of one.
type ledger interface {
	store.Ledger
	store.Overriding
	store.Metering
}

// open opens a pool's ledger.
func (l *ledgers) open(ctx context.Context, plan *config.Plan) (ledger, error) {
	if l.server == nil {
		return memory.New(memory.Config{Timings: timings(plan)}), nil
	}
	opening, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ledger, err := l.server.Open(opening, plan.File.Weir.Pool)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", plan.Name("weir.store.redis"), err)
	}
	return ledger, nil
}

func (l *ledgers) close() {
	if l.server != nil {
		_ = l.server.Close() // nothing is kept
	}
}
