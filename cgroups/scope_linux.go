package cgroups

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/spawn"
)

// ScopeOptions say which transient scope NewScope makes.
type ScopeOptions struct {
	// Unit is the scope's name, ending in .scope.
	Unit string
	// Slice is the slice that it goes into; "" is the manager's default.
	Slice string
	// User asks the calling user's manager instead of the system's.
	User bool
	// Mount is where the v2 hierarchy is mounted.
	Mount Mount
	// Own is the cgroup of this process.
	Own string
	// Settings are the limits, set on the unit and on the payload leaf.
	Settings []Setting
	// Description is the unit's, for people.
	Description string
	// Guard is the program, with arguments, that the anchor executes when this
	// process was killed while the scope was being made: [CleanUp] does that work.
	Guard []string
}

const (
	payload = "payload"
	// jobTimeout bounds each conversation with systemd. On hosts with thousands
	// of units a start was seen to take 25 s (runc#4853).
	jobTimeout = 30 * time.Second
	// busIdle is how long the connection is kept for the end of a short run: a
	// second one costs 2 ms, and a daemon gives a user 256 of them at most.
	busIdle = time.Second
)

// A scope is what a Group needs of its unit.
type scope struct {
	o      ScopeOptions
	mu     sync.Mutex
	bus    *bus // nil when idle
	idle   *time.Timer
	dir    *dir // the unit's own cgroup
	anchor *spawn.Guard
}

// NewScope makes a transient scope with a supervisor and a payload leaf. What
// anchors the scope is the guard, a small process of ours, so that this process
// stays where it is and is not subject to the limits; only where the user's
// manager is elsewhere in the tree must this process move below it, into a
// scope of its own. Nothing is left if NewScope fails.
func NewScope(ctx context.Context, o ScopeOptions) (_ *Group, err error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	s := &scope{o: o}
	// The guard starts before the connection's threads: the less this process
	// has, the less is copied.
	manager := map[bool]string{true: "user", false: "system"}[o.User]
	if s.anchor, err = spawn.NewAnchor(slices.Concat(o.Guard, []string{cleanScope, o.Unit, manager}), busEnvironment()); err != nil {
		return nil, err
	}
	g := &Group{Unit: o.Unit, guard: s.anchor}
	var requested []string
	defer func() {
		if err != nil {
			err = errors.Join(err, s.abandon(context.WithoutCancel(ctx), requested))
		}
	}()
	if s.bus, err = dial(ctx, o.User); err != nil {
		return nil, &UnavailableError{Err: err}
	}
	if o.User {
		requested = append(requested, ownerUnit(o.Unit))
		if err := s.joinManager(ctx, g); err != nil {
			return nil, err
		}
	}
	requested = append(requested, o.Unit)
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	if err := s.populate(ctx, g); err != nil {
		return nil, err
	}
	g.destroy = s.destroy
	s.letIdle()
	return g, nil
}

// populate makes the two leaves, once it is certain that the anchor is in the
// unit's own cgroup: limits must never reach a foreign one (crun#331). Where
// the unit is, the kernel tells, by where systemd put the anchor: one answer
// for what the unit's ControlGroup property and a look at cgroup.procs say,
// without a question to systemd.
func (s *scope) populate(ctx context.Context, g *Group) error {
	anchor := s.anchor.Process().Pid()
	membership, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", anchor))
	if err != nil {
		return err
	}
	cgroup, _, _, err := parseMembership(membership)
	if err != nil {
		return err
	}
	if path.Base(cgroup) != s.o.Unit {
		return fmt.Errorf("systemd started %s, but process %d, which it is for, is in cgroup %s", s.o.Unit, anchor, cgroup)
	}
	full, ok := s.o.Mount.Dir(cgroup)
	if !ok {
		return fmt.Errorf("cgroup %s of %s is not below %s", cgroup, s.o.Unit, s.o.Mount.Point)
	}
	if s.dir, err = openDir(full); err != nil {
		return err
	}
	leaf, err := s.dir.make(supervisor)
	if err != nil {
		return err
	}
	defer leaf.close()
	if err := leaf.write("cgroup.procs", fmt.Sprint(anchor)); err != nil {
		return err
	}
	if err := enable(s.dir, Controllers(s.o.Settings), statsControllers); err != nil {
		return s.explain(err)
	}
	if g.leaf, err = s.dir.make(payload); err != nil {
		return err
	}
	g.Path, g.unit = path.Join(cgroup, payload), s.dir
	if err := apply(g.leaf, s.o.Settings); err != nil {
		return fmt.Errorf("set limits of %s: %w", s.o.Unit, err)
	}
	return s.anchor.Arm(ctx, filepath.Join(g.leaf.path, "cgroup.kill"))
}

// explain adds what the user can do about a controller that is not delegated.
func (s *scope) explain(err error) error {
	var missing *MissingControllerError
	if !errors.As(err, &missing) || !s.o.User {
		return err
	}
	return fmt.Errorf("%w: let the administrator delegate it to user managers, in /etc/systemd/system/user@.service.d/delegate.conf: [Service] Delegate=cpu cpuset io memory pids", err)
}

// destroy removes the leaves and ends the unit: the guard first, then the stop
// job, which is quicker than systemd's own discovery of the empty cgroup.
func (s *scope) destroy(ctx context.Context) error {
	err := s.dir.remove(ctx, payload)
	if errors.Is(err, unix.EBUSY) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	err = errors.Join(err, s.anchor.Dismiss())
	if serr := s.stop(ctx); serr != nil && !s.vanished(ctx) {
		err = errors.Join(err, serr)
	}
	return errors.Join(err, s.dir.close())
}

// vanished waits for systemd to collect the empty scope by itself, as it does
// when the bus is gone: within 24 ms as measured. The kernel has no event for
// the removal of a cgroup, so this looks again in growing steps.
func (s *scope) vanished(ctx context.Context) bool {
	for wait := 4 * time.Millisecond; wait < 3*time.Second; wait *= 2 {
		if _, err := os.Stat(s.dir.path); errors.Is(err, os.ErrNotExist) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
	return false
}

// abandon undoes a scope that did not come to be.
func (s *scope) abandon(ctx context.Context, requested []string) error {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	err := s.withdraw(ctx, requested)
	if s.bus != nil {
		s.bus.close()
	}
	if s.dir != nil {
		s.dir.close()
	}
	return errors.Join(err, s.anchor.Dismiss())
}

// withdraw stops the unit, if it is this scope's: one of that name may be
// somebody else's. Which it is shows when systemd is done with what was
// requested, since its answer may have been lost. The anchor must live until
// then: systemd keeps a scope for ever whose process was a zombie by its start.
func (s *scope) withdraw(ctx context.Context, requested []string) error {
	if len(requested) == 0 {
		return nil
	}
	if err := s.ask(ctx, func(b *bus) error { return b.settled(ctx, requested) }); err != nil {
		return err
	}
	ours, err := isMember(s.anchor.Process().Pid(), s.o.Unit)
	if err != nil || !ours {
		return err
	}
	s.anchor.Stop() // the stop job waits for it
	return s.stop(ctx)
}

// stop stops the unit and forgets it. That it is gone already is success.
func (s *scope) stop(ctx context.Context) error {
	err := s.ask(ctx, func(b *bus) error { return b.job(ctx, s.o.Unit, "StopUnit", s.o.Unit, "replace") })
	if isBusError(err, errNoSuchUnit) {
		return nil
	}
	return err
}

// ask has one last conversation with systemd, or two: it or the bus may have
// been restarted since the connection was made.
func (s *scope) ask(ctx context.Context, talk func(*bus) error) error {
	for again := false; ; again = true {
		b, err := s.connection(ctx)
		if err != nil {
			return err
		}
		err = talk(b)
		b.close()
		var answer dbus.Error
		if err == nil || again || ctx.Err() != nil || errors.As(err, &answer) {
			return err
		}
	}
}

// letIdle closes the connection unless it is used again soon.
func (s *scope) letIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bus
	s.idle = time.AfterFunc(busIdle, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.bus == b {
			s.bus = nil
			b.close()
		}
	})
}

// connection takes the connection that is still open, or makes one.
func (s *scope) connection(ctx context.Context) (*bus, error) {
	s.mu.Lock()
	b := s.bus
	s.bus = nil
	if s.idle != nil {
		s.idle.Stop()
	}
	s.mu.Unlock()
	if b != nil && b.conn.Connected() {
		return b, nil
	}
	return dial(ctx, s.o.User)
}
