package replica

import (
	"context"

	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
)

// RunFinding is Run with pools that are found elsewhere than at an API server.
func RunFinding(ctx context.Context, load Load, pools finder, log *zap.Logger) error {
	return run(ctx, load, func(*config.Plan, string, string, *zap.Logger) (finder, error) { return pools, nil }, log)
}
