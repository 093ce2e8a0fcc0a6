package processes

import (
	"net/http"
	"sync"
	"time"
)

// RequestHeader gives a request a name of its own, by which HungUp knows it. Nothing but the
// model servers reads it.
const RequestHeader = "x-test-request"

// Noticing is how long a server's process may take to read that a connection has ended.
const Noticing = 500 * time.Millisecond

// clients knows of requests in flight whether their clients are still there.
//
// A replica that is hung up on closes its connection to the server, and that is all it can do:
// no server says when it has seen it. The slot goes to the next request, which may arrive
// before the server's process has come to read of the end. So what was hung up on does not
// count, but for no longer than that takes: what runs on counts again.
type clients struct {
	mu   sync.Mutex
	here map[string]bool // by name, of what is in flight
	gone map[string]bool // by name, in flight or not yet there
}

// HungUp says that a request's client has hung up.
func (s *Servers) HungUp(name string) {
	c := &s.clients
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone[name] = true
	if c.here[name] {
		c.here[name] = false
		s.InFlight.Add(-1)
	}
	time.AfterFunc(Noticing, func() { s.count(name) })
}

// count counts what has not ended in time.
func (s *Servers) count(name string) {
	c := &s.clients
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.gone, name)
	if here, flying := c.here[name]; flying && !here {
		c.here[name] = true
		Raise(&s.Peak, s.InFlight.Add(1))
	}
}

// counting counts requests while they are in flight.
func (s *Servers) counting(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			name := r.Header.Get(RequestHeader)
			s.began(name)
			defer s.ended(name)
		}
		h.ServeHTTP(w, r)
	})
}

func (s *Servers) began(name string) {
	c := &s.clients
	c.mu.Lock()
	defer c.mu.Unlock()
	if name != "" {
		c.here[name] = !c.gone[name]
	}
	if !c.gone[name] {
		Raise(&s.Peak, s.InFlight.Add(1))
	}
}

func (s *Servers) ended(name string) {
	c := &s.clients
	c.mu.Lock()
	defer c.mu.Unlock()
	if name == "" || c.here[name] {
		s.InFlight.Add(-1)
	}
	delete(c.here, name)
}
