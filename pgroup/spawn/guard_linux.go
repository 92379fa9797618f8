package spawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
)

// A Guard is a small process that outlives its owner, this process, by just
// long enough to end what the owner held. It blocks every signal, holds none
// of the owner's descriptors and waits for the owner's end by pidfd.
//
// It is a copy of the owner that never executes a program while the owner
// lives: it is there within 0.2 ms, and what it is charged for in its cgroup is
// a few pages. It reads and allocates nothing while it waits.
type Guard struct {
	child *pidfd.FD
	arm   *os.File // the owner's end of the socket, until Arm

	mu      sync.Mutex
	report  int // until Ready, then -1
	program *program
}

// AtOwnersEnd is what a guard does when its owner has died.
type AtOwnersEnd struct {
	// Kill is a descriptor of the cgroup.kill file to write to.
	Kill int
	// Dir is a descriptor that the program Args inherits as number 2; it has
	// Kill as number 1. Nil Args: the guard just ends.
	Dir  int
	Args []string
}

// NewGuard starts a guard. From its birth it holds what it needs and is deaf to
// signals; [Guard.Ready] says that it has let go of everything else.
func NewGuard(do AtOwnersEnd) (*Guard, error) {
	p := &program{}
	defer p.release()
	p.detach(true)
	dir := do.Dir
	if len(do.Args) == 0 {
		dir = do.Kill // nobody reads the directory
	}
	if err := p.keepOnly(do.Kill, dir); err != nil {
		return nil, err
	}
	p.awaitOwner()
	p.add("write cgroup.kill", unix.SYS_WRITE, 1, ref(p, &[]byte("1")[0]), 1)
	if len(do.Args) > 0 {
		if err := p.executeSelf(do.Args, nil); err != nil {
			return nil, err
		}
	}
	return p.guard()
}

// executeSelf makes the guard this very program, whatever is at its path by then.
func (p *program) executeSelf(args, env []string) error {
	exe, err := p.str("/proc/self/exe")
	if err != nil {
		return err
	}
	argv, err := p.strs(args)
	if err != nil {
		return err
	}
	envv, err := p.strs(env)
	if err != nil {
		return err
	}
	p.add("execute the cleanup", unix.SYS_EXECVE, exe, argv, envv)
	return nil
}

// NewAnchor starts a guard for a cgroup that does not exist yet, to be a first
// process in it: a systemd scope cannot be made without one. If its owner ends,
// it ends the group and itself once it is armed; before, it executes this
// program with args, if there are any, and env, to see to a scope that is just
// being made.
func NewAnchor(args, env []string) (*Guard, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(fds[1])
	p := &program{}
	defer p.release()
	p.detach(true)
	if err := p.keepOnly(fds[1], fds[1]); err != nil {
		unix.Close(fds[0])
		return nil, err
	}
	path := new([unix.PathMax]byte)
	at := unix.AT_FDCWD
	p.add("wait for the group", unix.SYS_READ, 1, ref(p, path), unix.PathMax-1)
	open := len(p.calls)
	p.add("open cgroup.kill", unix.SYS_OPENAT, uintptr(at), ref(p, path), unix.O_WRONLY).keep = true
	p.add("keep cgroup.kill", unix.SYS_DUP3, 0, 2, 0).use = 1
	p.add("say that it is armed", unix.SYS_WRITE, 1, ref(p, &[]byte("1")[0]), 1)
	p.awaitOwner()
	p.add("write cgroup.kill", unix.SYS_WRITE, 2, ref(p, &[]byte("1")[0]), 1)
	p.calls[open].orElse = len(p.calls)
	p.add("end", unix.SYS_EXIT_GROUP, exitOfList)
	if len(args) > 0 {
		p.calls[open].orElse = len(p.calls)
		if err := p.executeSelf(args, env); err != nil {
			unix.Close(fds[0])
			return nil, err
		}
	}
	g, err := p.guard()
	if err != nil {
		unix.Close(fds[0])
		return nil, err
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		return nil, errors.Join(os.NewSyscallError("fcntl", err), g.Dismiss())
	}
	g.arm = os.NewFile(uintptr(fds[0]), "guard")
	return g, nil
}

// NewBystander starts a process that stays in this process's own process group
// and does nothing until its owner ends. A signal that a terminal sends to the
// whole group stays pending in it, where [Guard.Pending] sees it.
func NewBystander() (*Guard, error) {
	p := &program{}
	defer p.release()
	p.detach(false)
	if err := p.keepOnly(-1, -1); err != nil {
		return nil, err
	}
	p.awaitOwner()
	g, err := p.guard()
	if err != nil {
		return nil, err
	}
	if err := g.Ready(context.Background()); err != nil {
		return nil, errors.Join(err, g.Dismiss())
	}
	return g, nil
}

// Arm gives an anchor the cgroup.kill file of its group and returns when the
// guard holds it.
func (g *Guard) Arm(ctx context.Context, killFile string) error {
	stop := context.AfterFunc(ctx, func() { g.arm.SetDeadline(past) })
	defer stop()
	defer g.arm.Close()
	if _, err := g.arm.WriteString(killFile); err != nil {
		return fmt.Errorf("arm the guard of %s: %w", killFile, errors.Join(err, ctx.Err()))
	}
	if n, err := g.arm.Read(make([]byte, 1)); n != 1 {
		return fmt.Errorf("arm the guard of %s: it could not open the file: %w", killFile, errors.Join(err, ctx.Err()))
	}
	return nil
}

// Process refers to the guard itself.
func (g *Guard) Process() *pidfd.FD { return g.child }

// Stop begins to end the guard, without effect on the group.
func (g *Guard) Stop() {
	if g != nil && g.child != nil {
		_ = g.child.Signal(unix.SIGKILL) // Dismiss does it again, and tells
	}
}

// Dismiss ends the guard without effect on the group. It can be called again.
func (g *Guard) Dismiss() error {
	if g == nil || g.child == nil {
		return nil
	}
	if g.arm != nil {
		g.arm.Close()
	}
	g.mu.Lock()
	if g.report >= 0 {
		unix.Close(g.report)
		g.report = -1
	}
	g.mu.Unlock()
	child := g.child
	g.child = nil
	return end(context.Background(), child)
}

// detach makes the child deaf to signals and, with a session of its own, safe
// from what is done to the owner's process group and terminal.
func (p *program) detach(session bool) {
	p.deaf = true
	if session {
		p.add("make a session", unix.SYS_SETSID)
	}
	// The kernel's OOM killer, which may come when the anchor's cgroup is full,
	// goes by size, and a guard is as large as its owner. Lowering the score
	// takes CAP_SYS_RESOURCE; without it this is left out.
	p.oomScoreAdj(-1000, true)
	name := []byte("pkshim-guard\x00")
	p.add("set the name", unix.SYS_PRCTL, unix.PR_SET_NAME, ref(p, &name[0]))
}

// keepOnly makes the owner's pidfd, a and b the child's descriptors 0, 1 and 2
// and closes everything else: a guard that held the caller's pipe would keep
// its reader waiting. In place of a or b below 0 there is the pidfd again.
func (p *program) keepOnly(a, b int) error {
	owner, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	p.closeAfterFork = append(p.closeAfterFork, owner)
	for i, fd := range []int{owner, a, b} {
		if fd < 0 {
			fd = owner
		}
		if fd < 3 { // would be overwritten before it is copied
			if fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
				return os.NewSyscallError("fcntl", err)
			}
			p.closeAfterFork = append(p.closeAfterFork, fd)
		}
		p.add("keep a descriptor", unix.SYS_DUP3, uintptr(fd), uintptr(i), 0)
	}
	p.addReady()
	p.add("close descriptors (needs Linux 5.9)", unix.SYS_CLOSE_RANGE, 3, maxFD, 0)
	return nil
}

// release closes the descriptors that were made for the child.
func (p *program) release() { closeAll(p.closeAfterFork) }

func (p *program) awaitOwner() {
	p.add("wait for the owner's end", unix.SYS_PPOLL, ref(p, &unix.PollFd{Fd: 0, Events: unix.POLLIN}), 1, 0, 0, 0)
}

// guard forks the list.
func (p *program) guard() (*Guard, error) {
	child, report, err := p.fork(&cloneArgs{})
	if err != nil {
		return nil, fmt.Errorf("start a guard: %w", err)
	}
	return &Guard{child: child, report: report, program: p}, nil
}

// Ready waits until the guard has put its descriptors in place and closed all
// others. Its error means that the guard is of no use; it is to be dismissed.
func (g *Guard) Ready(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.report < 0 {
		return nil
	}
	err := g.program.await(ctx, g.report)
	g.report, g.program = -1, nil
	if err != nil {
		return fmt.Errorf("start a guard: %w", err)
	}
	return nil
}

// Pending reports whether signal sig was sent to the guard and is pending:
// with [NewBystander], whether it was sent to the whole process group.
func (g *Guard) Pending(sig unix.Signal) (bool, error) {
	name := fmt.Sprintf("/proc/%d/status", g.child.Pid())
	status, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	// proc(5): the set of signals pending for the process as a whole, in hex.
	_, rest, _ := strings.Cut(string(status), "\nShdPnd:")
	line, _, _ := strings.Cut(rest, "\n")
	set, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		return false, fmt.Errorf("%s: ShdPnd: %w", name, err)
	}
	return set&(1<<(sig-1)) != 0, nil
}
