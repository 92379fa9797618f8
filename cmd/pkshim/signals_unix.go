//go:build unix

package main

import (
	"os"
	"syscall"
)

// forWorkload are the signals that pkshim passes on; SIGTERM ends the tree.
var forWorkload = []os.Signal{
	syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH,
}
