package pgroup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/spawn"
	"github.com/pkshim/pkshim/spec"
)

// ErrKeeperDied is in the errors of a group whose keeper was killed. How its
// processes ended is unknown then, and whether all of them have.
var ErrKeeperDied = errors.New("the keeper of the process tree was killed")

// A Group is a tree of processes and the keeper that holds it. Its methods may
// be called concurrently.
type Group struct {
	conn   *conn
	keeper spawn.Process

	closing sync.Mutex    // one Close at a time
	hello   chan error    // the keeper's first word
	gone    chan struct{} // closed when the keeper has said its last word
	reaped  chan struct{} // closed when the keeper was waited for

	mu        sync.Mutex
	last      uint64 // number of the last request
	pending   map[uint64]chan<- reply
	processes map[int]*process // whose exit is to come
	idle      chan struct{}    // closed while there is no member
	closed    bool
	closeErr  error
}

// New starts the keeper of an empty group. The program must have called
// [Init]. What a [spawn.Command] leaves unset, such as directory, umask and
// priority, the group's processes have as this process has it now.
func New(ctx context.Context) (*Group, error) {
	if !initialized {
		return nil, fmt.Errorf("start a keeper: the program does not call pgroup.Init in main: %w", errors.ErrUnsupported)
	}
	conn, keeper, err := startKeeper(ctx)
	if err != nil {
		return nil, fmt.Errorf("start a keeper: %w", err)
	}
	g := &Group{
		conn: conn, keeper: keeper,
		hello: make(chan error, 1), gone: make(chan struct{}), reaped: make(chan struct{}),
		pending: map[uint64]chan<- reply{}, processes: map[int]*process{}, idle: make(chan struct{}),
	}
	close(g.idle)
	go g.receive()
	go g.watchKeeper()
	if err := g.awaitHello(ctx); err != nil {
		_ = keeper.Signal(unix.SIGKILL) // ESRCH: it ended by itself
		return nil, errors.Join(fmt.Errorf("start a keeper: %w", err), g.release())
	}
	return g, nil
}

func (g *Group) awaitHello(ctx context.Context) error {
	select {
	case err := <-g.hello:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-g.gone:
	}
	select {
	case err := <-g.hello: // its last word as well
		return err
	default:
		return ErrKeeperDied
	}
}

// Start starts cmd as a member of the group. Errors are those of
// [spawn.Command.Start]. The process dies with the keeper, unless cmd has
// another ParentDeathSignal; cmd.Group cannot be given.
func (g *Group) Start(ctx context.Context, cmd *spawn.Command) (spawn.Process, error) {
	if err := checkCommand(cmd); err != nil {
		return nil, err
	}
	start := newStartCommand(cmd)
	if start.ProcessGroup == 0 { // the keeper is in one of its own
		start.ProcessGroup = unix.Getpgrp()
	}
	if start.ParentDeathSignal == 0 {
		start.ParentDeathSignal = int(unix.SIGKILL)
	}
	r, err := g.call(ctx, request{Do: doStart, Start: start}, cmd.Stdio[:]...)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, &spawn.StartError{Step: "start the program", Err: ctx.Err()}
	case err != nil:
		return nil, err
	case r.process == nil: // for want of a free descriptor
		_, err := g.call(context.Background(), request{Do: doDiscard, Target: uint64(r.Pid)})
		return nil, errors.Join(&spawn.StartError{Step: "take over the pidfd of the new process", Err: unix.EMFILE}, err)
	}
	return r.process, nil
}

// Signal sends sig to every member. That a member is gone is success, that one
// lives and may not be signalled is an error that names it. A process that is
// forked meanwhile may be missed; SIGKILL is as [Group.Kill] and misses none.
func (g *Group) Signal(sig syscall.Signal) error {
	if sig == unix.SIGKILL {
		return g.Kill()
	}
	const last = 64 // signal(7): SIGRTMAX
	if sig < 0 || sig > last {
		return fmt.Errorf("signal %d: %w", int(sig), unix.EINVAL)
	}
	_, err := g.call(context.Background(), request{Do: doSignal, Signal: sig})
	return err
}

// Kill sends SIGKILL to every member, and stops looking for more when there is
// none that was not sent it. It does not wait for their end. A member that may
// not be signalled is an error that names it.
func (g *Group) Kill() error {
	_, err := g.call(context.Background(), request{Do: doKill})
	return err
}

// Pids lists the living members, sorted.
func (g *Group) Pids() ([]int, error) {
	r, err := g.call(context.Background(), request{Do: doPids})
	return r.Pids, err
}

// Stats has the processor time of all members there ever were, exact once they
// have ended, and the peak memory of the largest one that has.
func (g *Group) Stats() (*spec.Stats, error) {
	r, err := g.call(context.Background(), request{Do: doStats})
	if err != nil {
		return nil, err
	}
	return r.Usage.stats(), nil
}

// Wait returns when no member is left.
func (g *Group) Wait(ctx context.Context) error {
	g.mu.Lock()
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-g.gone:
	case <-ctx.Done():
		return ctx.Err()
	}
	if isClosed(idle) { // it was the keeper's last word
		return nil
	}
	return fmt.Errorf("wait for the process tree: %w", ErrKeeperDied)
}

// Close ends the keeper of an empty group; with members it is an error that
// wraps EBUSY, and the group stays. It can be called again.
func (g *Group) Close(ctx context.Context) error {
	g.closing.Lock()
	defer g.closing.Unlock()
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed {
		return g.closeErr
	}
	_, err := g.call(ctx, request{Do: doClose})
	if errors.Is(err, ErrKeeperDied) {
		err = g.Wait(ctx) // that it is dead matters if it held anything
	} else if err != nil {
		return fmt.Errorf("close the process tree: %w", err)
	}
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.closeErr = errors.Join(err, g.release())
	return g.closeErr
}
