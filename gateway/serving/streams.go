package serving

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	// streamBytes is what a request by HTTP/2 takes in memory beside the text of its head before it
	// counts as its flow's, and once it does no more: its goroutine, buffers, and the head's lines.
	streamBytes = 16 << 10
	// patience is for how long, on average, a connection's answers may be left for its client to take,
	// and untold for how long it may not be known whose its streams are, before it is closed for
	// others to have room. The latter may be for want of a CPU, or as they were given up at once.
	patience = time.Second
	untold   = 15 * time.Second
	// lookAgain is how often one that waits for room looks for such a connection.
	lookAgain = 50 * time.Millisecond
	// firstsPart: one part in so many of the room is for connections of which no stream is counted.
	firstsPart = 4
)

// streams bounds the memory of requests by HTTP/2 of which it is not known yet whose they are, or
// of which nothing is left but an answer that its client has yet to take. A head for which there is
// no room is not read. If that lasts, the connection is closed whose streams have held most for
// longest.
//
// Invariant: counted is the sum of what the connections in open count, and each counts some.
type streams struct {
	most  int // streams
	start time.Time

	mu      sync.Mutex
	counted int
	open    map[*secureConn]struct{}
	room    chan struct{} // wakes one that waits, once there may be some
	looked  time.Duration // when no connection was found to close, since start
}

// account is what is counted of a connection's streams. streams.mu guards it.
type account struct {
	coming, leaving tally // before it is known whose they are, and once there is but their answer
	running         int   // requests that are being served, counted or not
	told            int   // of them, those that are counted as coming
	closed          bool  // nothing is counted any more
}

func (a *account) streams() int { return a.coming.n + a.leaving.n }

// tally counts streams.
type tally struct {
	n     int
	began time.Duration // the sum of when each was counted, since the start of streams
}

func (t *tally) add(now time.Duration) {
	t.n++
	t.began += now
}

// take takes out one of mean age: which one's head was read when is not known.
func (t *tally) take() {
	t.began -= t.began / time.Duration(t.n)
	t.n--
}

// held is for how long its streams have been counted, added up; 0 if that is less than so much each.
func (t *tally) held(now, each time.Duration) time.Duration {
	n := time.Duration(t.n)
	if held := n*now - t.began; held >= n*each {
		return held
	}
	return 0
}

// newStreams bounds streams to so many bytes, with heads of up to head bytes.
func newStreams(most int64, head int) *streams {
	return &streams{most: max(int(most/int64(streamBytes+head)), firstsPart), start: time.Now(), open: make(map[*secureConn]struct{}), room: make(chan struct{})}
}

// stream is a request by HTTP/2.
type stream struct {
	conn           *secureConn
	admitted, left bool // it is counted no more as coming; it is as leaving. streams.mu guards them
}

// streamKey is the context key of a request's stream.
type streamKey struct{}

// Admitted says of a request, by its context, that its memory counts as its flow's from now on. For
// one that did not come by HTTP/2 it does nothing.
func Admitted(ctx context.Context) {
	if s, ok := ctx.Value(streamKey{}).(*stream); ok {
		s.conn.streams.admitted(s)
	}
}

// come counts a stream whose head is about to be read, as soon as there is room for it.
func (s *streams) come(c *secureConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !c.account.closed && s.full(c) {
		if worst := s.worst(); worst != nil {
			s.forget(worst)
			_ = worst.raw.Close()
			continue
		}
		room := s.room
		s.mu.Unlock()
		look := time.NewTimer(lookAgain)
		select {
		case <-room:
		case <-look.C:
		}
		look.Stop()
		s.mu.Lock()
	}
	s.add(c, &c.account.coming)
	if s.counted < s.most {
		s.wake() // the next one
	}
}

// full reports whether there is no room for another stream of the connection.
func (s *streams) full(c *secureConn) bool {
	most := s.most
	if c.account.streams() > 0 {
		most -= most / firstsPart
	}
	return s.counted >= most
}

// worst is the connection to close for others, if there is one.
func (s *streams) worst() (worst *secureConn) {
	now, most := time.Since(s.start), time.Duration(0)
	if now-s.looked < lookAgain {
		return nil // another one that waits has just looked
	}
	for c := range s.open {
		a := &c.account
		held := a.leaving.held(now, patience)
		if began := time.Duration(c.head.Load()); began != 0 && now-began >= patience { // it has not come in whole
			held += now - began
		} else if began == 0 && a.running < maxStreams {
			// What net/http answers itself is never served, and gone.
			for a.coming.n > a.told && a.coming.held(now, patience) > 0 {
				s.take(c, &a.coming)
			}
		}
		if held += a.coming.held(now, untold); held > most {
			worst, most = c, held
		}
	}
	if worst == nil {
		s.looked = now
	}
	return worst
}

// serve serves a stream's request.
func (s *streams) serve(c *secureConn, handler http.Handler, w http.ResponseWriter, r *http.Request) {
	st := &stream{conn: c}
	s.mu.Lock()
	c.account.running++
	c.account.told++
	s.mu.Unlock()
	defer s.over(st)
	handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), streamKey{}, st)))
	s.leaving(st)
	_ = http.NewResponseController(w).Flush() // an answer that the client does not take takes memory
}

// admitted counts the stream no more.
func (s *streams) admitted(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !st.admitted {
		st.admitted = true
		st.conn.account.told--
		s.take(st.conn, &st.conn.account.coming)
	}
}

// leaving counts the stream as one of which there is but the answer, without a wait.
func (s *streams) leaving(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !st.admitted {
		st.conn.account.told--
		s.take(st.conn, &st.conn.account.coming)
	}
	st.left = true
	s.add(st.conn, &st.conn.account.leaving)
}

// over says that the stream's request has been served.
func (s *streams) over(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.conn.account.running--
	switch {
	case st.left:
		s.take(st.conn, &st.conn.account.leaving)
	case !st.admitted: // it panicked
		st.conn.account.told--
		s.take(st.conn, &st.conn.account.coming)
	}
}

// idle says that the connection has no streams. Those that were never served, as their client
// gave them up at once, are gone.
func (s *streams) idle(c *secureConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c.account.running == 0 && c.account.coming.n > 0 {
		s.take(c, &c.account.coming)
	}
}

// gone says that the connection is closed.
func (s *streams) gone(c *secureConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(c)
}

func (s *streams) add(c *secureConn, to *tally) {
	if c.account.closed {
		return
	}
	s.counted++
	to.add(time.Since(s.start))
	s.open[c] = struct{}{}
}

func (s *streams) take(c *secureConn, from *tally) {
	if from.n == 0 {
		return // the connection is closed, or was idle
	}
	s.counted--
	from.take()
	if c.account.streams() == 0 {
		delete(s.open, c)
	}
	s.wake()
}

// forget takes out all of the connection's streams, for good.
func (s *streams) forget(c *secureConn) {
	s.counted -= c.account.streams()
	c.account.coming, c.account.leaving, c.account.closed = tally{}, tally{}, true
	delete(s.open, c)
	s.wake()
}

// wake has one look that waits for room. The others look again by themselves.
func (s *streams) wake() {
	select {
	case s.room <- struct{}{}:
	default:
	}
}
