package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/stream/ticketpb"
)

// conn is one stream to a replica.
type conn struct {
	peer        string
	incarnation uint64
	out         chan coordinator.Message
	observed    chan coordinator.Observations // of the endpoints, by this replica
	questions   *questions
	version     int
	ctx         context.Context //nolint:containedctx // the stream's life
	end         context.CancelCauseFunc
}

// wire is either end of a gRPC stream.
type wire interface {
	Send(*ticketpb.Message) error
	Recv() (*ticketpb.Message, error)
}

// firstWord waits for the hello, for a limited time.
func firstWord(ctx context.Context, recv func() (*ticketpb.Message, error)) (*ticketpb.Hello, error) {
	type word struct {
		m   *ticketpb.Message
		err error
	}
	words := make(chan word, 1)
	go func() { // ends with the stream
		m, err := recv()
		words <- word{m, err}
	}()
	timer := time.NewTimer(handshake)
	defer timer.Stop()
	select {
	case w := <-words:
		if w.err != nil {
			return nil, fmt.Errorf("wait for its hello: %w", w.err)
		}
		return w.m.GetHello(), nil
	case <-timer.C:
		return nil, fmt.Errorf("%w: no hello within %v", ErrMalformed, handshake)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run carries messages until the stream breaks. A newer stream with the same
// replica takes the place of an older one.
func (s *Streams) run(ctx context.Context, h *ticketpb.Hello, w wire, over *watched) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	c := &conn{
		peer: h.GetReplica(), incarnation: h.GetIncarnation(), out: make(chan coordinator.Message, s.cfg.Backlog), ctx: ctx, end: end,
		observed: make(chan coordinator.Observations, max(maxObserved, s.cfg.Backlog/64)), questions: newQuestions(), version: int(h.GetProtocolVersion()),
	}
	s.mu.Lock()
	if old := s.conns[c.peer]; old != nil {
		old.end(errors.New("a newer stream took its place"))
	}
	s.conns[c.peer] = c
	m := s.members[c.peer]
	s.mu.Unlock()
	log := s.cfg.Logger.With(zap.String("peer", c.peer))
	log.Info("ticket stream up")
	s.tell(c.peer)

	go func() { end(s.receive(h, c, w)) }() // ends with the stream, which ends when run returns
	s.transmit(ctx, end, c, w)
	c.questions.end()

	s.mu.Lock()
	current := s.conns[c.peer] == c
	if current {
		delete(s.conns, c.peer)
	}
	s.mu.Unlock()
	cause := context.Cause(ctx)
	if current {
		log.Info("ticket stream down", zap.Error(cause))
		s.tell(c.peer)
		if m.Incarnation == c.incarnation && s.ctx.Err() == nil {
			s.running.Go(func() { s.awaitEnd(m, over) })
		}
		s.Broken(c.peer)
	}
	return refused(cause)
}

// tell says whether messages to a peer pass, as it is by now. One word follows another, so
// that the last that the handler hears is true: streams come and go at the same time. The
// handler may send meanwhile, so that it is not under mu.
func (s *Streams) tell(peer string) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.mu.Lock()
	up := s.conns[peer] != nil
	s.mu.Unlock()
	s.handler.StreamChanged(peer, up)
}

func (s *Streams) transmit(ctx context.Context, end context.CancelCauseFunc, c *conn, w wire) {
	for {
		m := c.next(ctx)
		if m == nil {
			return
		}
		if err := w.Send(m); err != nil {
			end(fmt.Errorf("send to replica %q: %w", c.peer, err))
			return
		}
	}
}

// next waits for something to send, tickets first; it returns nil once ctx has ended.
func (c *conn) next(ctx context.Context) *ticketpb.Message {
	select {
	case ticket := <-c.out:
		return encode(&ticket)
	default:
	}
	select {
	case ticket := <-c.out:
		return encode(&ticket)
	case o := <-c.observed:
		return encodeObservations(&o)
	case m := <-c.questions.out:
		return m
	case <-ctx.Done():
		return nil
	}
}

func (s *Streams) receive(h *ticketpb.Hello, c *conn, w wire) error {
	for {
		in, err := w.Recv()
		if err != nil {
			return fmt.Errorf("receive from replica %q: %w", h.GetReplica(), err)
		}
		if q := in.GetQuestion(); q != nil {
			s.answerTo(c, q)
			continue
		}
		if a := in.GetAnswer(); a != nil {
			c.questions.answered(a)
			continue
		}
		if o := in.GetObservations(); o != nil {
			if l := s.listen.Load(); l != nil {
				seen := decodeObservations(o, time.Now())
				seen.Pool = in.GetPool()
				(*l).Observed(seen)
			}
			continue
		}
		m, err := decode(in, h.GetReplica(), h.GetIncarnation(), s.cfg.Replica)
		if err != nil {
			s.cfg.Logger.Warn("a replica sends what cannot be read", zap.String("peer", h.GetReplica()), zap.Error(err))
			return err
		}
		s.handler.Received(m)
	}
}

// refused turns an error into a status that reaches the other end.
func refused(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrMalformed) {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return status.Error(codes.FailedPrecondition, err.Error())
}

func peerAddress(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}
