package stream

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/callers"
	"github.com/weirflow/weir/coordinator/stream/ticketpb"
)

// Streams are a replica's streams to all others. Its methods are safe for
// concurrent use.
type Streams struct {
	ticketpb.UnimplementedTicketsServer
	cfg     Config
	handler coordinator.Handler
	listen  atomic.Pointer[coordinator.Listener]
	answer  atomic.Pointer[func(ctx context.Context, question []byte) ([]byte, error)]
	server  *grpc.Server
	cancel  context.CancelFunc
	ctx     context.Context //nolint:containedctx // the life of the goroutines
	running sync.WaitGroup
	creds   *peerCredentials // nil where no proof is needed
	refused refusalLog
	// Broken is called when a stream to a replica broke, and Ended when it is proven that
	// the process of a run has ended; set before Start.
	Broken func(peer string)
	Ended  func(peer string, incarnation uint64)

	telling sync.Mutex // held while the handler is told of a stream

	mu      sync.Mutex
	ledger  string
	members map[string]coordinator.Member // who may have a stream, by gossip
	changed chan struct{}                 // closed when they change
	conns   map[string]*conn
	dials   map[string]*dial
}

// dial is the effort to keep a stream to a replica.
type dial struct {
	member coordinator.Member
	cancel context.CancelFunc
}

// New returns streams that nobody can connect to before Start.
func New(cfg Config) (*Streams, error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Streams{
		cfg: cfg.withDefaults(), ctx: ctx, cancel: cancel, Broken: func(string) {}, Ended: func(string, uint64) {},
		ledger: cfg.Ledger, members: make(map[string]coordinator.Member), changed: make(chan struct{}),
		conns: make(map[string]*conn), dials: make(map[string]*dial),
	}
	var err error
	if s.creds, err = newCredentials(&s.cfg); err != nil {
		return nil, fmt.Errorf("secure the ticket streams: %w", err)
	}
	s.refused.log = s.cfg.Logger
	if s.creds != nil {
		s.creds.refused = func(from net.Addr, err error) { s.refused.note(from.String(), err) }
	}
	return s, nil
}

// Start accepts streams, and passes on to the handler what comes.
func (s *Streams) Start(h coordinator.Handler) {
	s.handler = h
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxConcurrentStreams(4), grpc.ConnectionTimeout(handshake),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Second, Timeout: unanswered, MaxConnectionIdle: handshake}),
	}
	var creds credentials.TransportCredentials = insecure.NewCredentials()
	if s.creds != nil {
		creds = s.creds
	}
	options = append(options, grpc.Creds(watching{creds}))
	s.server = grpc.NewServer(options...)
	ticketpb.RegisterTicketsServer(s.server, s)
	strangers := &unknown{Listener: s.cfg.Listener, bound: callers.New(maxUnknown, maxUnknownFrom, courtesy), refused: &s.refused}
	s.running.Go(func() { _ = s.server.Serve(strangers) }) // returns when stopped
}

// SetLedger says which ledger this replica uses from now on.
func (s *Streams) SetLedger(identity string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ledger = identity
}

// Refused is how many connections and streams were refused.
func (s *Streams) Refused() uint64 { return s.refused.count.Load() }

// SetMembers says whom to keep streams with. Streams to others are closed.
func (s *Streams) SetMembers(live []coordinator.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = make(map[string]coordinator.Member, len(live))
	for _, m := range live {
		s.members[m.ID] = m
	}
	close(s.changed)
	s.changed = make(chan struct{})
	for _, m := range live {
		if m.ID <= s.cfg.Replica || s.ctx.Err() != nil {
			continue // it dials
		}
		if d := s.dials[m.ID]; d != nil {
			if d.member.Address == m.Address && d.member.Incarnation == m.Incarnation {
				continue
			}
			d.cancel()
		}
		ctx, cancel := context.WithCancel(s.ctx)
		s.dials[m.ID] = &dial{member: m, cancel: cancel}
		s.running.Go(func() { s.keepDialing(ctx, m) })
	}
	for id, d := range s.dials {
		if _, wanted := s.members[id]; !wanted {
			d.cancel()
			delete(s.dials, id)
		}
	}
	for id, c := range s.conns {
		if m, wanted := s.members[id]; !wanted {
			c.end(fmt.Errorf("replica %q is no member", id))
		} else if m.Incarnation != c.incarnation {
			c.end(fmt.Errorf("replica %q runs anew", id))
		}
	}
}

// acquainted waits a moment for gossip to know of a run of a replica.
func (s *Streams) acquainted(ctx context.Context, id string, incarnation uint64) error {
	timer := time.NewTimer(acquaintance)
	defer timer.Stop()
	for {
		s.mu.Lock()
		m, known := s.members[id]
		changed := s.changed
		s.mu.Unlock()
		switch {
		case known && m.Incarnation == incarnation:
			return nil
		case known && m.Incarnation > incarnation:
			return fmt.Errorf("replica %q runs anew, and this is an earlier run", id)
		}
		select {
		case <-changed:
		case <-timer.C:
			return fmt.Errorf("gossip does not know replica %q, or not this run of it", id)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Send implements coordinator.Fleet.
func (s *Streams) Send(m coordinator.Message) {
	s.mu.Lock()
	c := s.conns[m.To]
	s.mu.Unlock()
	if c == nil {
		return
	}
	select {
	case c.out <- m:
	default:
		c.end(fmt.Errorf("replica %q takes no messages: %d wait", m.To, cap(c.out)))
	}
}

// Listen implements coordinator.Broadcaster.
func (s *Streams) Listen(l coordinator.Listener) { s.listen.Store(&l) }

// Broadcast implements coordinator.Broadcaster. A replica that has not taken the last
// observations yet gets none.
func (s *Streams) Broadcast(o coordinator.Observations) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		select {
		case c.observed <- o:
		default:
		}
	}
}

// Close ends all streams, once what waits to be sent is sent or ctx ends.
func (s *Streams) Close(ctx context.Context) {
	for !s.flushed() && ctx.Err() == nil {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
		}
	}
	s.cancel()
	if s.server != nil {
		s.server.Stop()
	}
	s.running.Wait()
}

func (s *Streams) flushed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if len(c.out) > 0 {
			return false
		}
	}
	return true
}

// Connect implements the gRPC service.
func (s *Streams) Connect(stream grpc.BidiStreamingServer[ticketpb.Message, ticketpb.Message]) error {
	h, err := s.admit(stream.Context(), stream.Recv)
	if err != nil {
		s.refused.note(peerAddress(stream.Context()), err)
		turnAway(infoOf(stream.Context()).conn.Conn)
		return refused(err)
	}
	if err := stream.Send(s.hello(h.GetReplica())); err != nil {
		return err
	}
	return s.run(stream.Context(), h, stream, infoOf(stream.Context()).conn)
}

// admit waits for a hello, and returns it if its sender may have a stream.
func (s *Streams) admit(ctx context.Context, recv func() (*ticketpb.Message, error)) (*ticketpb.Hello, error) {
	h, err := firstWord(ctx, recv)
	if err != nil {
		return nil, err
	}
	if err := s.check(h); err != nil {
		return nil, err
	}
	if err := s.authenticate(ctx, h.GetReplica(), h.GetIncarnation()); err != nil {
		return nil, err
	}
	if err := s.acquainted(ctx, h.GetReplica(), h.GetIncarnation()); err != nil {
		return nil, err
	}
	known(infoOf(ctx).conn.Conn) // with credentials it is since the handshake
	return h, nil
}

// keepDialing keeps a stream to a member until ctx ends.
func (s *Streams) keepDialing(ctx context.Context, m coordinator.Member) {
	creds := insecure.NewCredentials()
	if s.creds != nil {
		creds = s.creds.to(m)
	}
	log := s.cfg.Logger.With(zap.String("peer", m.ID), zap.String("address", m.Address))
	client, err := grpc.NewClient("passthrough:///"+m.Address, grpc.WithTransportCredentials(watching{creds}), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: unanswered}))
	if err != nil {
		log.Error("no ticket stream is possible", zap.Error(err))
		return
	}
	defer client.Close() //nolint:errcheck // it is not used any more
	pause := s.cfg.Redial / 32
	for failed := ""; ctx.Err() == nil; {
		began := time.Now()
		client.ResetConnectBackoff()
		err := s.dialOnce(ctx, client, m)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > s.cfg.Redial {
			pause = s.cfg.Redial / 32
		}
		if err != nil && err.Error() != failed { // logged once
			failed = err.Error()
			log.Warn("no ticket stream; its tickets are queued here meanwhile", zap.Error(err))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, s.cfg.Redial)
	}
}

func (s *Streams) dialOnce(ctx context.Context, client *grpc.ClientConn, m coordinator.Member) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := ticketpb.NewTicketsClient(client).Connect(ctx)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	if err := stream.Send(s.hello(m.ID)); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	h, err := firstWord(ctx, stream.Recv)
	if err != nil {
		return err
	}
	if err := s.check(h); err != nil {
		return err
	}
	switch {
	case h.GetReplica() != m.ID:
		return fmt.Errorf("%s is replica %q, not %q", m.Address, h.GetReplica(), m.ID)
	case h.GetIncarnation() != m.Incarnation:
		return fmt.Errorf("replica %q runs anew, which gossip does not know yet", m.ID)
	}
	return s.run(ctx, h, stream, infoOf(stream.Context()).conn)
}
