//go:build !linux

package serving

import (
	"errors"
	"net"
)

// deafen does nothing on other systems: a connection that comes just when the listener is
// closed may be reset.
func deafen(net.Listener) error { return errors.ErrUnsupported }

// arrived is not known on other systems.
func arrived(any) bool { return false }
