package pidfd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An FD refers to one process for as long as it is open, whether that process
// lives, is a zombie or is gone. Its methods may be called concurrently. Close
// does not end a wait that is under way: its context does.
type FD struct {
	f   *os.File
	pid int
}

// New takes over the pidfd fd of process pid.
func New(fd, pid int) (*FD, error) {
	return &FD{f: os.NewFile(uintptr(fd), "pidfd"), pid: pid}, nil
}

// Open refers to process pid. See the package comment for when that is safe.
// The error wraps ESRCH if there is no such process.
func Open(pid int) (*FD, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, os.NewSyscallError("pidfd_open", err))
	}
	return New(fd, pid)
}

// Pid is the number of the process as it was when the FD was made.
func (p *FD) Pid() int { return p.pid }

// File lends the descriptor; it is valid until Close.
func (p *FD) File() *os.File { return p.f }

// Signal sends sig to the process, never to another one. The error wraps
// ESRCH if the process is gone, and EPERM if it may not be signalled.
func (p *FD) Signal(sig syscall.Signal) error {
	return p.control(func(fd int) error {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
			return fmt.Errorf("signal process %d with %v: %w", p.pid, sig, os.NewSyscallError("pidfd_send_signal", err))
		}
		return nil
	})
}

// Exited returns when the process has ended, all of its threads included, or
// with ctx's error. It works for any process and reaps nothing.
func (p *FD) Exited(ctx context.Context) error {
	return p.await(ctx, func(fd int) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return err == nil && n > 0
	})
}

// await calls done at once and then each time the kernel wakes those who poll
// the pidfd, until it returns true.
func (p *FD) await(ctx context.Context, done func(fd int) bool) error {
	// A duplicate of its own gives each waiter its own deadline.
	var dup int
	err := p.control(func(fd int) (err error) {
		dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("fcntl", err)
	})
	if err != nil {
		return err
	}
	// Non-blocking (for pidfds Linux 5.10), the Go poller waits for it and a wait
	// takes no thread.
	if err := unix.SetNonblock(dup, true); err != nil {
		unix.Close(dup)
		return os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(dup), "pidfd")
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	err = conn.Read(func(fd uintptr) bool { return done(int(fd)) })
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// brief is how long Wait waits in the system call itself, whatever ctx says,
// before it parks the goroutine: most processes that are that short are spared
// a good part of what the scheduler and the poller cost, some 0.1 ms.
const brief = 4 * time.Millisecond

// Wait waits for a child to end, reaps it and returns how it ended. Nobody
// else may wait for that child. A second call returns ECHILD, and so does a
// call for a process that is not a child.
//
// The end that Exited sees is not enough: a child that a debugger traces is the
// debugger's to wait for first. The kernel wakes pollers again after that.
func (p *FD) Wait(ctx context.Context) (*Exit, error) {
	var e *Exit
	var reaped error
	err := p.control(func(fd int) error {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(brief/time.Millisecond))
		e, reaped = p.reap(fd)
		return nil
	})
	if err != nil || e != nil || reaped != nil {
		return e, errors.Join(err, reaped)
	}
	err = p.await(ctx, func(fd int) bool {
		e, reaped = p.reap(fd)
		return e != nil || reaped != nil
	})
	if err != nil {
		return nil, err
	}
	return e, reaped
}

// childInfo is siginfo_t as waitid(2) fills it, on 64-bit systems.
type childInfo struct {
	signo, errno, code, _ int32
	pid                   int32
	uid                   uint32
	status                int32
	_                     [100]byte
}

// Values of si_code for SIGCHLD, from sigaction(2).
const (
	cldExited = 1
	cldDumped = 3
)

// reap returns nil and no error if there is nothing to wait for yet.
func (p *FD) reap(fd int) (*Exit, error) {
	var info childInfo
	var usage unix.Rusage
	err := error(unix.EINTR)
	for err == unix.EINTR {
		err = unix.Waitid(unix.P_PIDFD, fd, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG, &usage)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("wait for process %d: %w", p.pid, os.NewSyscallError("waitid", err))
	case info.pid == 0:
		return nil, nil
	}
	e := &Exit{
		UserTime:   time.Duration(usage.Utime.Nano()),
		SystemTime: time.Duration(usage.Stime.Nano()),
		MaxRSS:     uint64(usage.Maxrss) * 1024, // getrusage(2): kilobytes
	}
	if info.code == cldExited {
		e.Code = int(info.status)
		return e, nil
	}
	e.Signal = syscall.Signal(info.status)
	e.CoreDumped = info.code == cldDumped
	return e, nil
}

// Close releases the descriptor. The process is not touched.
func (p *FD) Close() error { return p.f.Close() }

func (p *FD) control(f func(fd int) error) error {
	conn, err := p.f.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := conn.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		// It fails for this reason alone, with an error that cannot be compared.
		return fmt.Errorf("process %d: %w", p.pid, os.ErrClosed)
	}
	return ferr
}
