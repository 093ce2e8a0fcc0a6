package serving

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/weirflow/weir/internal/socket"
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

// control runs f with the descriptor of a listener or a connection.
func control(at any, f func(fd int) error) error {
	if conn, ok := at.(net.Conn); ok {
		at = below(conn)
	}
	return socket.Control(at, f)
}
