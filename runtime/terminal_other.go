//go:build !linux

package runtime

import "syscall"

type terminal struct{}

func (t *terminal) watch() error                       { return nil }
func (t *terminal) reachedAll(sig syscall.Signal) bool { return false }
func (t *terminal) close()                             {}

func signalName(sig syscall.Signal) string { return sig.String() }

// ControlsTerminal says that fd is the terminal that controls this process's session.
func ControlsTerminal(fd int) bool { return false }
