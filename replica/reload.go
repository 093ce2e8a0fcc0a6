package replica

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/watch"
)

// lookEvery is how often the files are looked at.
const lookEvery = time.Second

// reloader puts a changed configuration into effect.
type reloader struct {
	replica *replica

	mu   sync.Mutex   // held while a plan is put into effect
	plan *config.Plan // in effect
}

// run reloads when a file has changed and when hangup receives, until ctx ends.
func (r *reloader) run(ctx context.Context, seen *watch.Files, hangup <-chan os.Signal) {
	if r.replica.discovery != nil {
		go r.follow(ctx) // ends with ctx
	}
	watch.Run(ctx, seen, lookEvery, r.files, hangup, r.reload)
}

func (r *reloader) files() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.plan.Files()
}

// follow has pools come and go as Kubernetes says, until ctx ends.
func (r *reloader) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.replica.discovery.changed:
		}
		began := time.Now()
		r.rediscover()
		rest := max(restAtLeast, restPart*time.Since(began))
		select {
		case <-ctx.Done():
		case <-time.After(rest):
		}
	}
}

// After pools came or went there is a rest, so that many that come one by one come together: of
// that long, and no less than so many times as long as it took.
const (
	restAtLeast = 100 * time.Millisecond
	restPart    = 4
)

// rediscover puts the plan in effect with the pools that there are now.
func (r *reloader) rediscover() {
	r.mu.Lock()
	defer r.mu.Unlock()
	plan, left := r.replica.discovery.beside(r.plan)
	r.replica.leaveOut(left)
	r.replica.change(plan)
	r.plan = plan
	r.replica.shows(plan, r.replica.shown.Load().Loaded) // the files are as they were
}

// reload reads the configuration again. It is put into effect as a whole, or not at all.
func (r *reloader) reload() {
	r.mu.Lock()
	defer r.mu.Unlock()
	plan, warnings, err := r.replica.load()
	var left []api.LeftOut
	if err == nil {
		plan.HoldTo(r.replica.plan, r.plan, func(plan, start *config.Plan) { keepOwn(plan, start) })
		plan, left = r.replica.discovery.beside(plan)
		err = r.replica.check(plan)
	}
	if err != nil {
		r.refuse(err)
		return
	}
	for _, w := range warnings {
		r.replica.log.Warn("configuration: " + w.String())
	}
	if kept := keep(plan, r.plan); len(kept) > 0 {
		r.replica.log.Warn("configuration reloaded, but what it changes of these settings needs a restart", zap.Strings("settings", kept))
	}
	r.replica.leaveOut(left)
	r.replica.gateway.SetKeys(plan.Keys)
	r.replica.change(plan)
	r.replica.accessLog.Select(plan.AccessLog)
	r.plan = plan
	r.replica.refused.takeFile()
	r.replica.shows(plan, time.Now())
	r.replica.console.Note(api.ConfigReloaded, api.Info, plan.File.Weir.Replica, plan.File.Weir.Replica+" read its configuration again")
	r.replica.log.Info("configuration reloaded", zap.Strings("files", plan.Files()))
}

// refuse leaves the configuration as it is, but for the API keys: a key that is taken out of
// its file must not hold because something else is wrong.
func (r *reloader) refuse(err error) {
	r.replica.log.Error("the configuration was not reloaded; the old one stays in effect", zap.Error(err))
	why := oneLine("a changed configuration was not taken over: " + err.Error())
	r.replica.refused.refuseFile(why)
	r.replica.noteRefused(why)
	plan, err := r.plan.WithKeys()
	if err != nil {
		return // it is among the problems
	}
	r.plan = plan
	r.replica.gateway.SetKeys(plan.Keys)
	r.replica.setTenants(plan)
}

// oneLine has what is wrong, which has a line for each thing, in one.
func oneLine(why string) string { return strings.ReplaceAll(why, "\n", "; ") }

// noteRefused has the events say what of a configuration is not in effect.
func (r *replica) noteRefused(why string) {
	r.console.Note(api.ConfigRefused, api.Severe, r.plan.File.Weir.Replica, why)
}

// shows is show while the replica runs.
func (r *replica) shows(plan *config.Plan, read time.Time) {
	if err := r.show(plan, read); err != nil {
		r.log.Warn("the admin address shows the configuration from before", zap.Error(err))
	}
}
