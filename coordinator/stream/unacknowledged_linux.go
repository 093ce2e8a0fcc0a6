package stream

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// endUnacknowledged has the system end a connection whose peer has acknowledged nothing for so long of
// what was sent to it. gRPC does so itself only where a connection is TCP's own.
func endUnacknowledged(conn net.Conn, after time.Duration) error {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%T has no descriptor: %w", conn, errors.ErrUnsupported)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err //nolint:wrapcheck // the caller says of what
	}
	var failed error
	return errors.Join(raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds())) //nolint:gosec // a descriptor fits
	}), failed)
}
