//go:build !unix

package main

import (
	"os"
	"syscall"
)

// forWorkload are the signals that pkshim passes on; SIGTERM ends the tree.
var forWorkload = []os.Signal{syscall.SIGTERM, os.Interrupt}
