package replica

import (
	"context"
	"errors"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/weirflow/weir/coordinator/callers"
)

const (
	// mostWatches is how many streams may watch the replica's health: each takes 8 to 18 kB for as long as
	// its client likes, and nothing says whose it is.
	mostWatches = 256
	// mostWatched is how many bytes the name may have that is watched.
	mostWatched = 1 << 10
)

// errTooManyWatches ends a stream. To clients that watch it says that they cannot, and that they are to
// take the replica for healthy while they are connected.
var errTooManyWatches = status.Error(codes.Unimplemented, "too many streams watch the health; it can be asked for")

// boundHealth tells of the replica's health, and bounds how many streams watch it. Where there are too many,
// the network with most of them loses the one that is there for longest; a new one is refused where no
// network has more than it would. It is safe for concurrent use.
type boundHealth struct {
	*health.Server

	mu   sync.Mutex
	here map[string][]*watcher // by network, the one that is there for longest first
	all  int
}

func newBoundHealth() *boundHealth {
	return &boundHealth{Server: health.NewServer(), here: make(map[string][]*watcher)}
}

// watcher is a stream that watches.
type watcher struct {
	grpc_health_v1.Health_WatchServer
	ctx    context.Context //nolint:containedctx // it is a stream's
	cancel context.CancelCauseFunc
}

// Context implements grpc.ServerStream.
func (w *watcher) Context() context.Context { return w.ctx }

// Watch implements the service.
func (h *boundHealth) Watch(asked *grpc_health_v1.HealthCheckRequest, stream grpc_health_v1.Health_WatchServer) error {
	if len(asked.GetService()) > mostWatched {
		return status.Errorf(codes.InvalidArgument, "the name of the service is longer than %d bytes", mostWatched)
	}
	w := &watcher{Health_WatchServer: stream}
	w.ctx, w.cancel = context.WithCancelCause(stream.Context())
	defer w.cancel(nil)
	from := networkOf(stream.Context())
	if !h.enter(from, w) {
		return errTooManyWatches
	}
	defer h.leave(from, w)
	err := h.Server.Watch(asked, w)
	if errors.Is(context.Cause(w.ctx), errTooManyWatches) {
		return errTooManyWatches
	}
	return err //nolint:wrapcheck // as the service says it
}

// enter counts a stream, if there is room for it or another loses its own.
func (h *boundHealth) enter(from string, w *watcher) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all >= mostWatches {
		loser, most := from, len(h.here[from])+1
		for network, here := range h.here {
			if len(here) > most {
				loser, most = network, len(here)
			}
		}
		if len(h.here[loser]) == 0 {
			return false
		}
		oldest := h.here[loser][0]
		h.remove(loser, oldest)
		oldest.cancel(errTooManyWatches)
	}
	h.here[from] = append(h.here[from], w)
	h.all++
	return true
}

func (h *boundHealth) leave(from string, w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(from, w)
}

func (h *boundHealth) remove(from string, w *watcher) {
	here := h.here[from]
	i := slices.Index(here, w)
	if i < 0 {
		return // another took its place
	}
	h.all--
	if h.here[from] = slices.Delete(here, i, i+1); len(h.here[from]) == 0 {
		delete(h.here, from)
	}
}

// networkOf is where who calls is; empty for what is not known.
func networkOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return callers.Network(p.Addr.String())
	}
	return ""
}
