package pgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
	"github.com/pkshim/pkshim/pgroup/spawn"
)

// startKeeper executes this program again.
func startKeeper(ctx context.Context) (*conn, spawn.Process, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(fds[1])
	c, err := newConn(fds[0])
	if err != nil {
		return nil, nil, err
	}
	keeper, err := executeKeeper(ctx, fds[1])
	if err != nil {
		return nil, nil, errors.Join(err, c.close())
	}
	return c, keeper, nil
}

// executeKeeper gives the keeper a process group, so that a terminal's signals
// and those for this process's group do not reach it, and leaves it in the
// session: the workload needs the terminal.
func executeKeeper(ctx context.Context, socket int) (spawn.Process, error) {
	owner, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(owner)
	null, err := open("/dev/null", unix.O_RDWR)
	if err != nil {
		return nil, err
	}
	defer unix.Close(null)
	cmd := &spawn.Command{
		Path: "/proc/self/exe", Args: []string{keeperName},
		ProcessGroup: spawn.NewProcessGroup,
	}
	cmd.Stdio[fdSocket], cmd.Stdio[fdOwner], cmd.Stdio[fdNull] = socket, owner, null
	return cmd.Start(ctx)
}

// A reply is an answer and the process that came with it.
type reply struct {
	answer
	process *process
}

// call sends a request and waits for its answer. If ctx ends, a start is
// canceled, with an answer to say so; others are left to themselves.
func (g *Group) call(ctx context.Context, r request, fds ...int) (reply, error) {
	answered := make(chan reply, 1)
	g.mu.Lock()
	g.last++
	r.ID = g.last
	g.pending[r.ID] = answered
	g.mu.Unlock()
	if err := g.conn.send(r, fds...); err != nil {
		g.mu.Lock()
		delete(g.pending, r.ID)
		g.mu.Unlock()
		return reply{}, g.sendError(r.Do, err)
	}
	done := ctx.Done()
	for {
		select {
		case a := <-answered:
			return a, joinFailures(a.Failures)
		case <-g.gone:
			select {
			case a := <-answered:
				return a, joinFailures(a.Failures)
			default:
				return reply{}, fmt.Errorf("%s: %w", r.Do, g.whyGone())
			}
		case <-done:
			if r.Do != doStart {
				return reply{}, ctx.Err()
			}
			done = nil
			_ = g.conn.send(request{Do: doCancel, Target: r.ID}) // else g.gone tells
		}
	}
}

func (g *Group) sendError(do verb, err error) error {
	why := g.whyGone()
	switch {
	case why == os.ErrClosed, errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
		return fmt.Errorf("%s: %w", do, why)
	case do == doStart:
		return &spawn.StartError{Step: "pass on the command and descriptors 0, 1 and 2", Err: err}
	}
	return fmt.Errorf("%s: %w", do, err)
}

func (g *Group) whyGone() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return os.ErrClosed
	}
	return ErrKeeperDied
}

// receive takes what the keeper says until it says no more.
func (g *Group) receive() {
	defer close(g.gone)
	for {
		var a answer
		fds, err := g.conn.receive(&a)
		if err != nil {
			_ = g.keeper.Signal(unix.SIGKILL) // it has ended, or cannot be talked to
			return
		}
		g.take(a, fds)
	}
}

func (g *Group) take(a answer, fds []int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case a.ID != 0:
		r := reply{answer: a}
		if a.Pid != 0 {
			r.process = g.newProcess(a.Pid, fds)
		}
		if answered := g.pending[a.ID]; answered != nil {
			delete(g.pending, a.ID)
			answered <- r
		}
	case a.Exit != nil:
		if p := g.processes[a.Pid]; p != nil {
			delete(g.processes, a.Pid)
			p.exit = a.Exit
			close(p.ended)
		}
	case a.Empty && !isClosed(g.idle):
		close(g.idle)
	case a.Hello, len(a.Failures) > 0:
		g.hello <- joinFailures(a.Failures)
	}
}

// newProcess returns nil if no pidfd has come.
func (g *Group) newProcess(pid int, fds []int) *process {
	if isClosed(g.idle) {
		g.idle = make(chan struct{})
	}
	if len(fds) != 1 {
		closeAll(fds)
		return nil
	}
	fd, err := pidfd.New(fds[0], pid)
	if err != nil {
		return nil
	}
	p := &process{g: g, fd: fd, ended: make(chan struct{})}
	g.processes[pid] = p
	return p
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// watchKeeper reaps the keeper. A process forked by the keeper at that moment
// may still hold its end of the socket, so that there would be no end of file.
func (g *Group) watchKeeper() {
	defer close(g.reaped)
	_, err := g.keeper.Wait(context.Background())
	for err != nil && !errors.Is(err, unix.ECHILD) { // for want of a free descriptor
		<-g.gone
		_, err = g.keeper.Wait(context.Background())
	}
	_ = g.conn.hangUp()
}

// release lets go of a keeper that has ended, or is about to.
func (g *Group) release() error {
	<-g.reaped
	<-g.gone
	return errors.Join(g.conn.close(), g.keeper.Close())
}

// A process is one that the keeper started. It is the keeper's child: its exit
// comes as a message, all else goes by pidfd.
type process struct {
	g     *Group
	fd    *pidfd.FD
	ended chan struct{} // closed when exit is there
	exit  *pidfd.Exit
}

func (p *process) Pid() int                        { return p.fd.Pid() }
func (p *process) Signal(sig syscall.Signal) error { return p.fd.Signal(sig) }
func (p *process) Close() error                    { return p.fd.Close() }

func (p *process) Wait(ctx context.Context) (*pidfd.Exit, error) {
	select {
	case <-p.ended:
		return p.exit, nil
	case <-p.g.gone:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if isClosed(p.ended) { // it was the keeper's last word
		return p.exit, nil
	}
	return nil, fmt.Errorf("wait for process %d: %w", p.Pid(), ErrKeeperDied)
}
