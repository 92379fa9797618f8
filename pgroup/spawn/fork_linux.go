package spawn

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These three bracket a fork for the Go runtime. They are linked by name, as
// gVisor does; the runtime promises to keep them (go.dev/issue/67401).

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// A call is one system call of a child's list.
type call struct {
	nr   uintptr
	args [6]uintptr
	// keep remembers the result for a later call, which puts it in its
	// argument number use-1.
	keep bool
	use  uint8
	// next goes on to the following call after ENOENT, ENOTDIR and EACCES:
	// one of several places where execvp(3) looks for a program.
	next bool
	// optional goes on after any error.
	optional bool
	// orElse is the call to go on with after an error, 0 for none.
	orElse int
}

// cloneArgs is struct clone_args of clone3(2), as of Linux 5.7.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal   uint64
	stack, stackSize, tls, setTID, setTIDSize, cgrp uint64
}

// forkCalls makes a child that runs the list and, if the list ends or a call
// fails, writes {index, errno} to the descriptor report and exits. The child
// must not allocate, grow its stack or touch the scheduler: it is one thread
// in a copy of a memory that had many. A deaf child keeps every signal blocked,
// as they are around the fork, from its birth on.
//
//go:norace
//go:noinline
func forkCalls(ca *cloneArgs, calls []call, report uintptr, failure *[2]uint64, deaf bool) (pid uintptr, errno syscall.Errno) {
	beforeFork()
	pid, _, errno = syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(ca)), unsafe.Sizeof(*ca), 0)
	if errno == unix.ENOSYS && ca.flags&unix.CLONE_INTO_CGROUP == 0 {
		// Old container sandboxes let only clone pass. Its third argument is
		// where CLONE_PIDFD stores the descriptor.
		pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(ca.flags|ca.exitSignal), 0, uintptr(ca.pidfd), 0, 0, 0)
	}
	if errno != 0 || pid != 0 {
		afterFork()
		return pid, errno
	}
	if !deaf {
		afterForkInChild()
	}
	runCalls(calls, report, failure)
	return 0, 0 // not reached
}

//go:norace
//go:nosplit
func runCalls(calls []call, report uintptr, failure *[2]uint64) {
	var kept uintptr
	var missed syscall.Errno
	for i := 0; i < len(calls); i++ {
		c := &calls[i]
		if c.use > 0 {
			c.args[c.use-1] = kept
		}
		r, _, e := syscall.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
		if c.keep {
			kept = r
		}
		if e == 0 || c.optional {
			continue
		}
		if c.orElse > 0 {
			i = c.orElse - 1
			continue
		}
		if e == unix.ENOENT || e == unix.ENOTDIR || e == unix.EACCES {
			// The most telling answer of all places: that permission is
			// missing, then that the program is.
			if missed == 0 || missed == unix.ENOTDIR || e == unix.EACCES {
				missed = e
			}
			if c.next {
				continue
			}
			e = missed
		}
		failure[0], failure[1] = uint64(i), uint64(e)
		syscall.RawSyscall(unix.SYS_WRITE, report, uintptr(unsafe.Pointer(failure)), unsafe.Sizeof(*failure))
		break
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, exitOfList, 0, 0)
	}
}

// exitOfList is the exit code of a child whose list ended.
const exitOfList = 125
