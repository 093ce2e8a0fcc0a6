package envoy

import (
	"context"
	"net/http"
	"sync"

	"google.golang.org/grpc/peer"

	"github.com/weirflow/weir/internal/list"
)

// coming are the streams whose requests have not come in whole, by the address of the connection that they
// come by, those that are there for longest first. It is safe for concurrent use.
type coming struct {
	mu   sync.Mutex
	from map[string]*comingFrom
}

type comingFrom struct {
	streams list.List[*stream]
	all     int
}

// place is a stream's among those that are coming.
type place struct {
	from    string
	node    list.Node[*stream]
	refused chan struct{} // closed when the stream is to be refused; of its goroutine: nil once it has come
}

func (c *coming) enter(x *stream) {
	p := &x.place
	p.refused, p.node.Value, p.from = make(chan struct{}), x, peerOf(x.stream.Context())
	c.mu.Lock()
	defer c.mu.Unlock()
	here := c.from[p.from]
	if here == nil {
		here = &comingFrom{}
		c.from[p.from] = here
	}
	here.streams.PushBack(&p.node)
	here.all++
}

// leave takes a stream out, which is refused for memory no more.
func (c *coming) leave(x *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(x)
	x.place.refused = nil
}

// remove takes a stream out, if it is in.
func (c *coming) remove(x *stream) {
	p := &x.place
	if p.node.Value == nil {
		return
	}
	p.node.Remove()
	p.node.Value = nil
	here := c.from[p.from]
	if here.all--; here.all == 0 {
		delete(c.from, p.from)
	}
}

// Refuse implements serving.Refuser.
func (p *Processor) Refuse(from string, streams int) (refused int) {
	c := &p.coming
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; refused < streams; refused++ {
		here := c.from[from]
		if here == nil {
			break
		}
		x, _ := here.streams.Front()
		c.remove(x)
		close(x.place.refused)
	}
	return refused
}

// noMemory ends a stream for which there is no memory before its request has come in whole.
func (x *stream) noMemory() error {
	if x.session != nil {
		x.session.NoMemory()
		return x.fail(x.session.Ended())
	}
	x.gateway.Begin(&x.record, "", "", http.Header{}) // nothing is known of it
	return x.fail(x.gateway.NoMemory(&x.record))
}

// peerOf is the address that a stream's connection comes from; empty for none.
func peerOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}
