package app

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
)

// lookEvery is how often the configuration file is looked at. A look reads it:
// what it stands behind, such as a mounted ConfigMap, may be exchanged without a
// change of its own.
const lookEvery = time.Second

// reloader puts a changed configuration file into effect.
type reloader struct {
	flags      *serveFlags
	plan       *config.Plan // in effect
	controller *controller.Controller
	gateway    *gateway.Gateway
	objectives *objectives
	log        *zap.Logger
}

// run reloads on SIGHUP and when the file has changed, until ctx ends.
func (r *reloader) run(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	seen, _ := os.ReadFile(r.flags.file)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			seen, _ = os.ReadFile(r.flags.file)
		case <-ticker.C:
			now, err := os.ReadFile(r.flags.file)
			if err != nil || bytes.Equal(now, seen) {
				continue // gone for a moment, perhaps; the old one stays
			}
			seen = now
		}
		r.reload()
	}
}

// reload reads the file. One with problems has no effect.
func (r *reloader) reload() {
	plan, warnings, err := r.flags.load()
	if err != nil {
		r.log.Error("the configuration was not taken over; the old one stays in effect", zap.Error(err))
		return
	}
	for _, w := range warnings {
		r.log.Warn("configuration: " + w.String())
	}
	old := r.plan
	before, profiles := needsRestart(old)
	if after, now := needsRestart(plan); !reflect.DeepEqual(before, after) || !reflect.DeepEqual(profiles, now) {
		r.log.Warn("what the configuration says of addresses, endpoints, scheduling, metrics, store and fleet takes effect at the next start")
	}
	if err := r.controller.Reconfigure(policyOptions(plan)...); err != nil {
		r.log.Error("the configuration was not taken over; the old one stays in effect", zap.Error(err))
		return
	}
	r.gateway.SetTenants(tenants(plan, r.objectives))
	r.gateway.Observe()
	r.plan = plan
	r.log.Info("configuration taken over", zap.String("file", r.flags.file))
}

// needsRestart is the part that a running replica keeps.
func needsRestart(p *config.Plan) (config.Weir, []config.Profile) {
	w := p.File.Weir
	w.Objectives, w.Flows, w.Identity, w.MaxFlows = nil, nil, config.Identity{}, 0
	return w, p.File.SchedulingProfiles
}
