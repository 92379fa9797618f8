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
	defer report.Close()
	if err := p.await(ctx, report); err != nil {
		return nil, errors.Join(err, end(child))
	}
	return child, nil
}

// fork clones the child that runs the list. What the child has to say comes
// from the returned pipe: nothing if it executed a program.
func (p *program) fork(ca *cloneArgs) (*pidfd.FD, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer w.Close()
	report, err := unix.FcntlInt(w.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		r.Close()
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	defer unix.Close(report)
	if p.ready > 0 {
		p.calls[p.ready].args[0] = uintptr(report)
	}
	fd, failure := new(int32), new([2]uint64)
	ca.flags |= unix.CLONE_PIDFD
	ca.pidfd = uint64(ref(p, fd)) // on the heap: the stack may move before the call
	ca.exitSignal = uint64(unix.SIGCHLD)

	// As os.StartProcess: no descriptor without close-on-exec is made meanwhile.
	syscall.ForkLock.Lock()
	pid, errno := forkCalls(ca, p.calls, uintptr(report), failure)
	syscall.ForkLock.Unlock()
	runtime.KeepAlive(p)
	if errno != 0 {
		r.Close()
		return nil, nil, &StartError{Step: cloneStep(ca), Err: os.NewSyscallError("clone3", errno)}
	}
	child, err := pidfd.New(int(*fd), int(pid))
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	return child, r, nil
}

func cloneStep(ca *cloneArgs) string {
	if ca.flags&unix.CLONE_INTO_CGROUP != 0 {
		return "start a process inside the cgroup (needs Linux 5.7, and write access to the cgroup and to the nearest one above both it and pkshim)"
	}
	return "start a process"
}

// await reads the child's report: one byte when it was ready, then nothing if
// the rest of the list went well.
func (p *program) await(ctx context.Context, report *os.File) error {
	stop := context.AfterFunc(ctx, func() { report.SetReadDeadline(past) })
	defer stop()
	said, err := io.ReadAll(report)
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

var (
	past      = time.Unix(1, 0)
	errKilled = errors.New("it was killed before it could execute the program")
)

// end kills and reaps a child that did not get to its program.
func end(child *pidfd.FD) error {
	defer child.Close()
	if err := child.Signal(unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	_, err := child.Wait(context.Background())
	return err
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
