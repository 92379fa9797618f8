//go:build !unix

package main

import (
	"os"
	"syscall"
)

// toEnd are the signals that ask pkshim or the workload to end.
var (
	toEnd  = []os.Signal{syscall.SIGTERM, os.Interrupt}
	toTell []os.Signal
)
