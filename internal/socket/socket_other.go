//go:build !linux

// Package socket sets what the standard library has no call for on the sockets of listeners and connections.
package socket

import (
	"errors"
	"time"
)

// EndUnacknowledged does nothing on other systems: keepalives end such connections later.
func EndUnacknowledged(any, time.Duration) error { return errors.ErrUnsupported }
