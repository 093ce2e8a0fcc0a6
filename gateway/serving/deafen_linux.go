package serving

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// deafen makes a listener ignore new connections, so that those that have arrived can be
// accepted before it is closed: closing would reset them. Clients that connect meanwhile
// try again, and are refused then.
func deafen(l net.Listener) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return fmt.Errorf("deafen %s: %w", l.Addr(), err)
	}
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K} // lets no byte of a packet pass
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
	})
	if err := errors.Join(err, refused); err != nil {
		return fmt.Errorf("deafen %s: %w", l.Addr(), err)
	}
	return nil
}
