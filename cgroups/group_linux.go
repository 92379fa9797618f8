package cgroups

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
	"github.com/pkshim/pkshim/pgroup/spawn"
	"github.com/pkshim/pkshim/spec"
)

// A Group is a cgroup that holds one workload. Its methods may be called
// concurrently, Close excepted. Both mechanisms share it: they differ in where
// the cgroup is, who made it and how it is removed.
type Group struct {
	// Path is the workload's cgroup, as /proc/PID/cgroup spells it.
	Path string
	// Unit is the systemd unit around it, or "".
	Unit string
	// Notes are what was done to the host beyond making the cgroup.
	Notes []string

	leaf  *dir
	guard *spawn.Guard
	// unit is the unit's own cgroup above the leaf, nil if there is none. The
	// leaf's bookkeeping is charged to it, so of two equal memory limits it is
	// the unit's that is hit, and counts.
	unit *dir
	// destroy removes the empty cgroup and what was made around it.
	destroy func(context.Context) error
}

// ErrFrozen: nothing can be started in a frozen cgroup.
var ErrFrozen = errors.New("the cgroup is frozen: thaw it first")

// Start starts cmd as a member from its first instruction. Nothing runs if the
// guard is gone: a workload without it would outlive pkshim.
func (g *Group) Start(ctx context.Context, cmd *spawn.Command) (spawn.Process, error) {
	frozen, err := g.leaf.event("frozen")
	if err != nil {
		return nil, fmt.Errorf("read the state of cgroup %s: %w", g.Path, err)
	}
	if frozen {
		return nil, fmt.Errorf("start in cgroup %s: %w", g.Path, ErrFrozen)
	}
	inside := *cmd
	inside.Group = g.leaf.fd
	p, err := inside.Start(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		// An ancestor that is frozen, or froze meanwhile, stops the child.
		if frozen, ferr := g.leaf.event("frozen"); ferr == nil && frozen {
			err = errors.Join(err, ErrFrozen)
		}
	}
	if err != nil {
		return nil, err
	}
	// The guard did its part while the workload was started.
	if err := g.guard.Ready(ctx); err != nil {
		kerr := p.Signal(unix.SIGKILL)
		_, werr := p.Wait(context.WithoutCancel(ctx))
		return nil, errors.Join(err, kerr, werr, p.Close())
	}
	return p, nil
}

// Signal sends sig to every member. Members are pinned first, then membership
// is read once more, so that a number that was used again is not signalled. A
// member that is gone is success.
func (g *Group) Signal(sig syscall.Signal) error {
	if sig == unix.SIGKILL {
		return g.Kill()
	}
	pids, err := g.Pids()
	if err != nil {
		return err
	}
	pinned := make(map[int]*pidfd.FD, len(pids))
	defer func() {
		for _, p := range pinned {
			p.Close()
		}
	}()
	for _, pid := range pids {
		p, err := pidfd.Open(pid)
		if errors.Is(err, unix.ESRCH) {
			continue
		} else if err != nil {
			return err
		}
		pinned[pid] = p
	}
	if pids, err = g.Pids(); err != nil {
		return err
	}
	var errs []error
	for _, pid := range pids {
		if p := pinned[pid]; p != nil {
			if err := p.Signal(sig); err != nil && !errors.Is(err, unix.ESRCH) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// Kill sends SIGKILL to all members at once, frozen ones included; it does not wait.
func (g *Group) Kill() error {
	if err := g.leaf.kill(); err != nil && !isGone(err) {
		return err
	}
	return nil
}

// Pids lists the members of the whole sub-tree. A process of another pid
// namespace, which has no number here, is listed as 0.
func (g *Group) Pids() ([]int, error) {
	pids, err := g.leaf.tree()
	if isGone(err) {
		return nil, nil
	}
	slices.Sort(pids)
	return pids, err
}

// Stats reads the counters of the cgroup, which outlive its processes.
func (g *Group) Stats() (*spec.Stats, error) {
	return StatsFrom(func(file string) ([]byte, error) {
		if file == "memory.events" && g.unit != nil {
			return g.unit.read(file)
		}
		return g.leaf.read(file)
	})
}

// Wait returns when no member is left.
func (g *Group) Wait(ctx context.Context) error { return g.leaf.awaitEmpty(ctx) }

// Close removes the empty cgroup and ends the guard. It never kills a member:
// while there are any, it is an error that wraps EBUSY and the guard stays.
func (g *Group) Close(ctx context.Context) error {
	populated, err := g.leaf.event("populated")
	switch {
	case isGone(err):
	case err != nil:
		return err
	case populated:
		return fmt.Errorf("close cgroup %s: it has processes: %w", g.Path, unix.EBUSY)
	}
	return errors.Join(g.destroy(ctx), g.leaf.close())
}

// apply writes the limits to the workload's own cgroup.
func apply(leaf *dir, settings []Setting) error {
	for _, s := range settings {
		if s.File == "" {
			continue // a unit's property alone
		}
		err := leaf.write(s.File, s.Value)
		switch {
		case err == nil:
		case errors.Is(err, unix.ENOENT) && (s.Optional || s.Alternative != "" && leaf.has(s.Alternative)):
		case errors.Is(err, unix.ENOENT):
			return fmt.Errorf("%s: this kernel has no %s: %w", s.Field, s.File, err)
		default:
			return fmt.Errorf("%s: %w", s.Field, err)
		}
	}
	return nil
}

// enable passes controllers of d on to its children. Each goes by itself: one
// that is not to be had must not keep the others away. What is missing of
// needed is an error that says why.
func enable(d *dir, needed, wanted []string) error {
	available, err := d.fields("cgroup.controllers")
	if err != nil {
		return err
	}
	enabled, err := d.fields("cgroup.subtree_control")
	if err != nil {
		return err
	}
	for _, c := range slices.Concat(needed, wanted) {
		if slices.Contains(enabled, c) {
			continue
		}
		must := slices.Contains(needed, c)
		if !slices.Contains(available, c) {
			if must {
				return &MissingControllerError{Controller: c, Dir: d.path, Available: available}
			}
			continue
		}
		if err := d.write("cgroup.subtree_control", "+"+c); err != nil && must {
			return fmt.Errorf("enable the %s controller: %w", c, err)
		}
	}
	return nil
}

// A MissingControllerError is a limit that cannot be enforced because the
// controller for it is not available in the cgroup.
type MissingControllerError struct {
	Controller string
	Dir        string
	Available  []string
}

func (e *MissingControllerError) Error() string {
	return fmt.Sprintf("the %s controller is not available in %s (it has %v): it is not delegated by the level above, or bound to cgroup v1", e.Controller, e.Dir, e.Available)
}

// Is makes the error an [errors.ErrUnsupported].
func (e *MissingControllerError) Is(target error) bool { return target == errors.ErrUnsupported }

// An UnavailableError means that the mechanism cannot be had on this host and
// that nothing was changed: another one may be tried.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return e.Err.Error() }
func (e *UnavailableError) Unwrap() error { return e.Err }
