package serving

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// deafen makes a listener ignore new connections, so that those that have arrived can be
// accepted before it is closed: closing would reset them. Clients that connect meanwhile
// try again, and are refused then.
func deafen(l net.Listener) error {
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K} // lets no byte of a packet pass
	err := control(l, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
	})
	if err != nil {
		return fmt.Errorf("deafen %s: %w", l.Addr(), err)
	}
	return nil
}

// arrived reports whether something has arrived that is not taken yet: connections at a
// listener, or bytes on a connection.
func arrived(at any) bool {
	something := false
	err := control(at, func(fd int) error {
		look := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // a descriptor fits
		n, err := unix.Poll(look, 0)
		something = n > 0 && look[0].Revents&unix.POLLIN != 0
		return err //nolint:wrapcheck // only whether it failed counts
	})
	return err == nil && something
}

// endUnacknowledged has the system end a connection whose peer has acknowledged nothing for so long of
// what was sent to it.
func endUnacknowledged(at any, after time.Duration) error {
	return control(at, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds()))
	})
}

// control runs f with the descriptor of a listener or a connection.
func control(at any, f func(fd int) error) error {
	if conn, ok := at.(net.Conn); ok {
		at = below(conn)
	}
	c, ok := at.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%T has no descriptor: %w", at, errors.ErrUnsupported)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err //nolint:wrapcheck // callers say of what
	}
	var failed error
	return errors.Join(raw.Control(func(fd uintptr) { failed = f(int(fd)) }), failed) //nolint:gosec // a descriptor fits
}
