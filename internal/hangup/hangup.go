// Package hangup has a process outlive SIGHUP from its first millisecond on.
//
// Its import is what does it: Go initializes it as soon as os/signal is, before the packages that take some
// 40 ms for that, and long before main.
package hangup

import (
	"os"
	"os/signal"
	"syscall"
)

// Nobody receives what comes: as long as nothing was read there is nothing to read again.
func init() { signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) }

// Reset has SIGHUP end the process again, or be ignored if it was when the process began. Who asked for the
// signal before gets it no more.
func Reset() { signal.Reset(syscall.SIGHUP) }
