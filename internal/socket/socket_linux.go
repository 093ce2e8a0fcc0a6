// Package socket sets what the standard library has no call for on the sockets of listeners and connections.
package socket

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Control runs f with the descriptor of a listener or a connection. What has none is ErrUnsupported.
func Control(at any, f func(fd int) error) error {
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

// EndUnacknowledged has the system end a connection whose peer has acknowledged nothing for so long of
// what was sent to it. gRPC does so itself only where a connection is TCP's own.
func EndUnacknowledged(conn any, after time.Duration) error {
	return Control(conn, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds()))
	})
}
