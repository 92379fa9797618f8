package pidfd

import (
	"syscall"
	"time"
)

// An Exit is how a child ended, from waitid(2).
type Exit struct {
	Code       int            // exit code, valid if Signal is 0
	Signal     syscall.Signal // the signal that killed it, or 0
	CoreDumped bool           // the kernel wrote a core dump
	UserTime   time.Duration  // of the child and the children it waited for
	SystemTime time.Duration
	MaxRSS     uint64 // bytes, the largest of the child and the children it waited for
}
