package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/weirflow/weir/coordinator"
)

// When a process ends, however it does, its kernel closes its connections, and takes no
// more at the addresses where it listened. A process that was stopped, a frozen machine
// and a cut network give neither sign. Both together prove that a replica's process has
// ended, and that whatever else it had open is closed, too.

// watched is a connection that knows whether the other end closed it.
type watched struct {
	net.Conn
	closed atomic.Bool
}

// Read implements net.Conn.
func (c *watched) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.note(err)
	return n, err
}

// Write implements net.Conn.
func (c *watched) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.note(err)
	return n, err
}

func (c *watched) note(err error) {
	for _, closed := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, closed) {
			c.closed.Store(true)
		}
	}
}

// watching are credentials whose connections are watched.
type watching struct {
	credentials.TransportCredentials
}

// watchedInfo is what a connection says of its other end, and the connection.
type watchedInfo struct {
	credentials.AuthInfo
	conn *watched
}

func watch(conn net.Conn, info credentials.AuthInfo, err error) (net.Conn, credentials.AuthInfo, error) {
	if err != nil {
		return nil, nil, err
	}
	c := &watched{Conn: conn}
	return c, &watchedInfo{info, c}, nil
}

// ServerHandshake implements credentials.TransportCredentials.
func (w watching) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return watch(w.TransportCredentials.ServerHandshake(raw))
}

// ClientHandshake implements credentials.TransportCredentials.
func (w watching) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return watch(w.TransportCredentials.ClientHandshake(ctx, authority, raw))
}

// Clone implements credentials.TransportCredentials.
func (w watching) Clone() credentials.TransportCredentials {
	return watching{w.TransportCredentials.Clone()}
}

// infoOf is what the connection of a stream says of its other end.
func infoOf(ctx context.Context) *watchedInfo {
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(*watchedInfo); ok {
			return info
		}
	}
	return &watchedInfo{conn: &watched{}}
}

// connect is how long a connection may take, and heldFor how long one is held at most
// that nobody at the other end says anything on.
const connect, heldFor = time.Second, time.Minute

// awaitEnd looks for proof that the process of a run has ended whose stream broke, and
// calls Ended. It gives up when the stream is up again or another run is known.
func (s *Streams) awaitEnd(m coordinator.Member, over *watched) {
	closed := false
	pause := s.cfg.Redial / 64
	for until := time.Now().Add(s.cfg.WatchEnd); s.ctx.Err() == nil && time.Now().Before(until) && s.away(m); {
		dialing, done := context.WithTimeout(s.ctx, connect)
		conn, err := (&net.Dialer{}).DialContext(dialing, "tcp", m.Address)
		done()
		switch {
		case errors.Is(err, syscall.ECONNREFUSED) && (closed || over.closed.Load()):
			s.cfg.Logger.Info("its process has ended", zap.String("peer", m.ID))
			s.Ended(m.ID, m.Incarnation)
			return
		case err == nil: // the kernel took it: if the process is stopped, it may be killed yet
			closed = s.hold(conn, until) || closed
		}
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
		}
		pause = min(2*pause, s.cfg.Redial)
	}
}

// away reports whether there is no stream to a replica, and no other run of it is known.
func (s *Streams) away(m coordinator.Member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, known := s.members[m.ID]
	return s.conns[m.ID] == nil && (!known || now.Incarnation == m.Incarnation)
}

// hold waits until the other end of a connection says something or closes it, until that
// time at the latest, and reports whether it closed it.
func (s *Streams) hold(conn net.Conn, until time.Time) bool {
	defer conn.Close() //nolint:errcheck // nothing was written
	stop := context.AfterFunc(s.ctx, func() { _ = conn.Close() })
	defer stop()
	if most := time.Now().Add(heldFor); most.Before(until) {
		until = most
	}
	if conn.SetReadDeadline(until) != nil {
		return false
	}
	c := &watched{Conn: conn}
	_, _ = c.Read(make([]byte, 1))
	return c.closed.Load()
}
