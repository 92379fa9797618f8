//go:build unix

package main

import (
	"os"
	"syscall"
)

// umask reads the mask. It can be read only by setting it; nothing else of
// pkshim runs at the end of a run.
func umask() os.FileMode {
	m := syscall.Umask(0)
	syscall.Umask(m)
	return os.FileMode(m)
}
