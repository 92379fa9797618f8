package pgroup

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
)

// reapAll reaps whatever becomes the keeper's child, and tells the owner when
// there is no child left.
func (k *keeper) reapAll() {
	for {
		// This blocks until a child has ended and takes nothing: children are
		// only reaped under mu. It returns ECHILD where there is no child.
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT|unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		k.mu.Lock()
		childless := k.reap()
		if childless && !k.starting && !k.empty {
			k.empty = true
			_ = k.conn.send(answer{Empty: true})
		}
		if childless {
			k.changed.Wait() // only a start brings a child then
		}
		k.mu.Unlock()
	}
}

// reapAtOnce bounds how long mu is held. A process that forks and exits, again
// and again, always leaves another to reap; it must not keep a kill waiting.
const reapAtOnce = 256

// reap takes dead children and reports whether there is no child at all.
// As every descendant has the keeper for its last ancestor, the kernel's answer
// ECHILD means that the tree is gone. WALL is for children that were cloned
// with another signal than SIGCHLD (waitpid(2)).
func (k *keeper) reap() (childless bool) {
	reaped := false
	defer func() {
		if reaped {
			k.changed.Broadcast()
		}
	}()
	for range reapAtOnce {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, unix.WNOHANG|unix.WALL, &usage)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return true // ECHILD, the only other error of wait4(2)
		case pid == 0:
			return false
		default:
			reaped = true
			k.reaped(pid, newExit(status, &usage))
		}
	}
	return false // there may be more
}

func (k *keeper) reaped(pid int, e *pidfd.Exit) {
	switch {
	case k.workloads[pid]:
		k.tellExit(pid, e)
	case k.starting:
		k.exits[pid] = e // of the new process, or of some orphan
	}
}

func newExit(status syscall.WaitStatus, usage *syscall.Rusage) *pidfd.Exit {
	e := &pidfd.Exit{
		UserTime:   time.Duration(usage.Utime.Nano()),
		SystemTime: time.Duration(usage.Stime.Nano()),
		MaxRSS:     uint64(usage.Maxrss) * 1024, // getrusage(2): kilobytes
	}
	if status.Exited() {
		e.Code = status.ExitStatus()
	} else {
		e.Signal = status.Signal()
		e.CoreDumped = status.CoreDump()
	}
	return e
}
