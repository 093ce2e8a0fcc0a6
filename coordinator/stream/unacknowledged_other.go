//go:build !linux

package stream

import (
	"errors"
	"net"
	"time"
)

// endUnacknowledged does nothing on other systems: keepalives end such connections later.
func endUnacknowledged(net.Conn, time.Duration) error { return errors.ErrUnsupported }
