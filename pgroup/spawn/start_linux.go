package spawn

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
)

// Start starts the process and returns once its program has been executed. It
// returns a [*StartError] if a step failed, and ctx's error if ctx ended first
// (a frozen cgroup stops the child before its first instruction); in both
// cases no process is left. The caller waits for the process and closes it.
// If this process is killed meanwhile, the program is not executed.
func (c *Command) Start(ctx context.Context) (Process, error) {
	fds, moved, err := clearOfStdio(c.Stdio)
	defer closeAll(moved)
	if err != nil {
		return nil, err
	}
	prepared := *c
	prepared.Stdio = fds
	p, err := prepared.compile()
	if err != nil {
		return nil, err
	}
	ca := &cloneArgs{}
	if c.Group > 0 {
		ca.flags = unix.CLONE_INTO_CGROUP
		ca.cgrp = uint64(c.Group)
	}
	child, report, err := p.fork(ca)
	if err != nil {
		return nil, err
	}
	if err := p.await(ctx, report); err != nil {
		return nil, errors.Join(err, end(ctx, child))
	}
	return child, nil
}

// fork clones the child that runs the list. What the child has to say comes
// from the returned pipe: nothing if it executed a program.
func (p *program) fork(ca *cloneArgs) (_ *pidfd.FD, report int, _ error) {
	fd, failure := new(int32), new([2]uint64)
	ca.flags |= unix.CLONE_PIDFD
	ca.pidfd = uint64(ref(p, fd)) // on the heap: the stack may move before the call
	ca.exitSignal = uint64(unix.SIGCHLD)

	// As os.StartProcess: no descriptor without close-on-exec is made meanwhile.
	// The lock is also held for as long as the pipe's writing end is open here:
	// another child would take it along, and that one may be stopped by a frozen
	// cgroup before it closes it, so that this report would not end either.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	r, w, err := reportPipe()
	if err != nil {
		return nil, -1, err
	}
	defer unix.Close(w)
	p.calls[p.ready].args[0] = uintptr(w)
	if p.reader > 0 {
		p.calls[p.reader].args[0] = uintptr(r)
	}
	pid, errno := forkCalls(ca, p.calls, uintptr(w), failure, p.deaf)
	runtime.KeepAlive(p)
	if errno != 0 {
		unix.Close(r)
		return nil, -1, &StartError{Step: cloneStep(ca), Err: os.NewSyscallError("clone3", errno)}
	}
	child, err := pidfd.New(int(*fd), int(pid))
	if err != nil {
		unix.Close(r)
		unix.Kill(int(pid), unix.SIGKILL) // the number is the child's until it is waited for
		unix.Wait4(int(pid), nil, 0, nil)
		return nil, -1, err
	}
	return child, r, nil
}

// reportPipe is a pipe, its reading end non-blocking, clear of the descriptors
// that a child replaces.
func reportPipe() (r, w int, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return 0, 0, os.NewSyscallError("pipe2", err)
	}
	for i, fd := range ends {
		if fd >= 3 {
			continue
		}
		if ends[i], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			ends[i] = fd
			break
		}
		unix.Close(fd)
	}
	if err == nil {
		err = unix.SetNonblock(ends[0], true)
	}
	if err != nil {
		closeAll(ends[:])
		return 0, 0, os.NewSyscallError("fcntl", err)
	}
	return ends[0], ends[1], nil
}

func cloneStep(ca *cloneArgs) string {
	if ca.flags&unix.CLONE_INTO_CGROUP != 0 {
		return "start a process inside the cgroup (needs Linux 5.7, and write access to the cgroup and to the nearest one above both it and pkshim)"
	}
	return "start a process"
}

// await reads the child's report and closes it: one byte when it was ready,
// then nothing if the rest of the list went well.
func (p *program) await(ctx context.Context, report int) error {
	said, err := readReport(ctx, report)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		return &StartError{Step: "start the program", Err: ctx.Err()}
	case err != nil:
		return fmt.Errorf("read the report of the new process: %w", err)
	case len(said) == 0:
		return &StartError{Step: "prepare the new process", Err: errKilled}
	case len(said) == 1:
		return nil
	}
	failure := said[len(said)-16:]
	at := int(binary.NativeEndian.Uint64(failure[:8]))
	errno := syscall.Errno(binary.NativeEndian.Uint64(failure[8:]))
	return &StartError{Step: p.names[at], Exec: at >= len(p.calls)-p.execs, Err: errno}
}

// brief is how long readReport waits in the system call itself: a start takes
// less, and to park the goroutine costs some 0.1 ms more.
const brief = 4 * time.Millisecond

func readReport(ctx context.Context, report int) (said []byte, err error) {
	var buf [64]byte
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(report), Events: unix.POLLIN}}, int(brief/time.Millisecond))
		if n != 1 || err != nil {
			break // EINTR too: the poller below has no need to be told the time that is left
		}
		n, err = unix.Read(report, buf[:])
		if err != nil {
			break
		}
		if n == 0 {
			return said, os.NewSyscallError("close", unix.Close(report))
		}
		said = append(said, buf[:n]...)
	}
	f := os.NewFile(uintptr(report), "report")
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.SetReadDeadline(past) })
	defer stop()
	rest, err := io.ReadAll(f)
	return append(said, rest...), err
}

var (
	past      = time.Unix(1, 0)
	errKilled = errors.New("it was killed before it could execute the program")
)

// end kills and reaps a child that did not get to its program. A child that
// has become another user cannot be killed without CAP_KILL; unless ctx has
// ended, it reported an error and ends by itself.
func end(ctx context.Context, child *pidfd.FD) error {
	defer child.Close()
	killed := child.Signal(unix.SIGKILL)
	if killed == nil || errors.Is(killed, unix.ESRCH) {
		ctx = context.WithoutCancel(ctx)
	}
	if _, err := child.Wait(ctx); err != nil {
		return errors.Join(killed, err)
	}
	return nil
}

// clearOfStdio moves descriptors below 3 that are to become another one of the
// three, so that no dup3 of the child overwrites a source that is still needed.
func clearOfStdio(fds [3]int) (_ [3]int, moved []int, _ error) {
	for i, fd := range fds {
		if fd == i || fd >= 3 {
			continue
		}
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fds, moved, fmt.Errorf("duplicate descriptor %d: %w", fd, err)
		}
		fds[i] = n
		moved = append(moved, n)
	}
	return fds, moved, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
