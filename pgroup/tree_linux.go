package pgroup

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// A tree is the living descendants of the keeper, this process. While its
// methods run, nothing else reaps (but for a start that fails, its own child):
// the keeper's dead children then stay in their place, so that a process which
// loses its parent is appended to a list that otherwise does not change.
type tree struct {
	root     int
	children lister
	// reap reaps the root's dead children.
	reap func()
	// pins is how many pidfds may be open at a time.
	pins int
}

func newTree(reap func()) (*tree, error) {
	children, err := newLister()
	if err != nil {
		return nil, err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, os.NewSyscallError("getrlimit", err)
	}
	const most = 1024                              // a kernel object each
	pins := max(1, min(int(limit.Cur)/2-16, most)) // the rest is for everything else
	return &tree{root: os.Getpid(), children: children, reap: reap, pins: pins}, nil
}

// members lists the living members. One that is made while the list is might
// be missing; one that merely loses its parent is not: a dying process hands
// its children to the root (or to a subreaper among the members) before it
// turns into a zombie, so the root's children are read until all of them, the
// dead ones too, have been seen.
func (t *tree) members() ([]*stat, error) {
	w := &walk{tree: t, known: map[int]bool{t.root: true}, seen: map[int]bool{}}
	for expanded := 0; ; {
		seen := len(w.seen)
		if err := w.visit(t.root); err != nil {
			return nil, err
		}
		if len(w.seen) == seen {
			return w.alive, nil
		}
		for ; expanded < len(w.alive); expanded++ {
			if err := w.visit(w.alive[expanded].pid); err != nil {
				return nil, err
			}
		}
	}
}

// A walk is one reading of a tree.
type walk struct {
	*tree
	seen, known map[int]bool // all processes, and those that live
	alive       []*stat
}

// visit adds the children of pid that were not seen yet.
func (w *walk) visit(pid int) error {
	pids, err := w.children(pid)
	if err != nil {
		return err
	}
	for _, child := range pids {
		if w.seen[child] {
			continue
		}
		w.seen[child] = true
		s, err := readStat(child)
		if err != nil {
			return err
		}
		// A parent that is no member means that the number has a new owner.
		if s != nil && s.alive() && w.known[s.ppid] {
			w.known[child] = true
			w.alive = append(w.alive, s)
		}
	}
	return nil
}

func (t *tree) pids() ([]int, error) {
	t.reap()
	members, err := t.members()
	if err != nil {
		return nil, err
	}
	pids := make([]int, len(members))
	for i, m := range members {
		pids[i] = m.pid
	}
	slices.Sort(pids)
	return pids, nil
}

// An identity is a process as nothing else will ever be called.
type identity struct {
	pid   int
	start uint64
}

func (s *stat) identity() identity { return identity{s.pid, s.start} }

// A pinned is a member and the pidfd that refers to it.
type pinned struct {
	identity
	fd int
}

func release(ps []pinned) {
	for _, p := range ps {
		unix.Close(p.fd)
	}
}

// pin opens the processes and then reads the tree once more: what is a member
// under the same identity before and after is what the descriptor refers to.
func (t *tree) pin(candidates []*stat) ([]pinned, error) {
	var held []pinned
	for _, s := range candidates {
		fd, err := unix.PidfdOpen(s.pid, 0)
		if err == unix.ESRCH {
			continue
		}
		if err != nil {
			release(held)
			return nil, fmt.Errorf("open process %d: %w", s.pid, os.NewSyscallError("pidfd_open", err))
		}
		held = append(held, pinned{s.identity(), fd})
	}
	members, err := t.members()
	if err != nil {
		release(held)
		return nil, err
	}
	still := identities(members)
	return slices.DeleteFunc(held, func(p pinned) bool {
		if !still[p.identity] {
			unix.Close(p.fd)
		}
		return !still[p.identity]
	}), nil
}

func identities(members []*stat) map[identity]bool {
	ids := make(map[identity]bool, len(members))
	for _, m := range members {
		ids[m.identity()] = true
	}
	return ids
}

// send signals one pinned member. That it is gone is success, and so is that
// it is dead and may not be signalled.
func (p pinned) send(sig syscall.Signal) error {
	err := unix.PidfdSendSignal(p.fd, sig, nil, 0)
	if err == nil || err == unix.ESRCH {
		return nil
	}
	err = fmt.Errorf("signal process %d with %s: %w", p.pid, signalName(sig), os.NewSyscallError("pidfd_send_signal", err))
	if s, serr := readStat(p.pid); serr != nil {
		return errors.Join(err, serr)
	} else if s == nil || s.identity() != p.identity || !s.alive() {
		return nil
	}
	return err
}

func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}

// signal sends sig to every member there is.
func (t *tree) signal(sig syscall.Signal) error {
	t.reap()
	todo, err := t.members()
	if err != nil {
		return err
	}
	var errs []error
	for some := range slices.Chunk(todo, t.pins) {
		held, err := t.pin(some)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, p := range held {
			errs = append(errs, p.send(sig))
		}
		release(held)
	}
	return errors.Join(errs...)
}
