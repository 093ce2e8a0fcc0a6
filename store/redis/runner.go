package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// runner runs turns on a server, for all of its pools: as the function of a library, which
// Redis reads once, or, where there can be none, as a script that it runs anew each time.
// It is safe for concurrent use.
type runner struct {
	name, library string
	script        *goredis.Script
	refusal       atomic.Pointer[refusal] // nil while there is a library
	changed       func(why error)         // it is another refusal, or nil for none
}

// refusal is why there can be no library, and when that was found out.
type refusal struct {
	why error
	at  time.Time
}

// refusalHolds is how long a refusal is believed: rights are granted and servers updated.
const refusalHolds = time.Minute

func newRunner(s *script, changed func(why error)) *runner {
	r := &runner{script: goredis.NewScript(s.evaluated()), changed: changed}
	r.name, r.library = s.library()
	return r
}

// run takes a turn with the pool of that root. Without arguments it finds out whether turns
// can be taken.
func (r *runner) run(ctx context.Context, client goredis.UniversalClient, root string, args ...any) *goredis.Cmd {
	if last := r.refusal.Load(); last == nil || time.Since(last.at) >= refusalHolds {
		cmd := r.call(ctx, client, root, args)
		err := cmd.Err()
		if !isRefused(err) {
			if err == nil && last != nil && r.refusal.CompareAndSwap(last, nil) {
				r.changed(nil)
			}
			return cmd
		}
		if r.refusal.CompareAndSwap(last, &refusal{err, time.Now()}) && (last == nil || last.why.Error() != err.Error()) {
			r.changed(explain(err))
		}
	}
	return r.script.Run(ctx, client, []string{root}, args...)
}

// call calls the library's function. The library is loaded where it is not there: it goes
// with the data if Redis restarts without any, does not come along with a slot of a cluster,
// and others may delete it.
func (r *runner) call(ctx context.Context, client goredis.UniversalClient, root string, args []any) *goredis.Cmd {
	cmd := client.FCall(ctx, r.name, []string{root}, args...)
	if !goredis.HasErrorPrefix(cmd.Err(), "Function not found") {
		return cmd
	}
	if err := r.load(ctx, client, root); err != nil {
		cmd.SetErr(err)
		return cmd
	}
	cmd = client.FCall(ctx, r.name, []string{root}, args...)
	if goredis.HasErrorPrefix(cmd.Err(), "Function not found") {
		cmd.SetErr(&loadError{fmt.Errorf("%w: there is a library %s without it, of somebody else; delete it", errForeign, r.name)})
	}
	return cmd
}

// errForeign is what a library of the ledger's name is that does not have its function.
var errForeign = errors.New("function not found")

// load loads the library where the pool is kept.
func (r *runner) load(ctx context.Context, client goredis.UniversalClient, root string) error {
	node, err := keeper(ctx, client, root)
	if err != nil {
		return err
	}
	err = node.FunctionLoad(ctx, r.library).Err()
	if err != nil && !strings.Contains(err.Error(), "already exists") { // another replica may have been first
		return &loadError{err}
	}
	return nil
}

// tidy deletes the libraries of other versions. Those that are used still are loaded again by
// who uses them; without this they would stay for as long as Redis does, and one that cannot
// be deleted does.
func (r *runner) tidy(ctx context.Context, client goredis.UniversalClient, root string) {
	node, err := keeper(ctx, client, root)
	if err != nil || r.refusal.Load() != nil {
		return
	}
	libraries, err := node.FunctionList(ctx, goredis.FunctionListQuery{LibraryNamePattern: libraryPrefix + "*"}).Result()
	if err != nil {
		return
	}
	for _, library := range libraries {
		if library.Name != r.name && len(library.Name) == len(r.name) {
			_ = node.FunctionDelete(ctx, library.Name)
		}
	}
}

// keeper is the client of the server that keeps a pool: in a cluster a command without a key
// may go to any.
func keeper(ctx context.Context, client goredis.UniversalClient, root string) (goredis.Cmdable, error) {
	cluster, ok := client.(*goredis.ClusterClient)
	if !ok {
		return client, nil
	}
	return cluster.MasterForKey(ctx, root)
}

// loadError says why a library could not be loaded.
type loadError struct{ error }

func (e *loadError) Error() string { return fmt.Sprintf("load the ledger's library: %v", e.error) }
func (e *loadError) Unwrap() error { return e.error }

// isRefused says whether an error means that there can be no library: Redis has none, or the
// user may not use it. What passes, such as a server that loads its data, has words of its own.
func isRefused(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	var load *loadError
	if errors.As(err, &load) {
		text = load.error.Error()
		return errors.Is(err, errForeign) || strings.HasPrefix(text, "NOPERM") || strings.HasPrefix(text, "ERR ") || isUnknown(text)
	}
	// The function's own commands may be refused, too: so would a script's.
	return !strings.Contains(text, "in script") && (strings.HasPrefix(text, "NOPERM") || isUnknown(text))
}

// isUnknown says whether an error means that there is no such command: Redis says that it is
// unknown, and proxies before it that it is not supported.
func isUnknown(text string) bool {
	text = strings.ToLower(strings.TrimPrefix(text, "ERR "))
	return strings.HasPrefix(text, "unknown command") || strings.HasPrefix(text, "unsupported command") || strings.HasSuffix(text, "not supported")
}
