//go:build unix

package main

import (
	"os"
	"syscall"
)

// toEnd are the signals that ask pkshim or the workload to end: SIGTERM ends the
// tree, the others are passed on, and before there is a workload each of them
// ends the run. toTell mean nothing without a workload.
var (
	toEnd  = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT}
	toTell = []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH}
)
