package pgroup

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// kill leaves no member that was not sent SIGKILL. It does not wait until they
// are dead: one in an uninterruptible wait can take its time, and cannot fork
// any more, which is what matters. The error joins those that may not be
// signalled.
//
// There is no call that kills a tree. Each round stops what it finds, until a
// look finds nothing new, and kills that; a process with a signal pending
// cannot fork (fork(2) is restarted), so a round can only be outrun by
// processes that it has not seen, and the next one sees those.
func (t *tree) kill() error {
	done := map[identity]bool{} // killed, or refused
	var errs []error
	for {
		held, err := t.stop(done)
		for _, p := range held {
			errs = append(errs, p.send(unix.SIGKILL))
			done[p.identity] = true
		}
		release(held)
		if err != nil || len(held) == 0 {
			return errors.Join(append(errs, err)...)
		}
	}
}

// stopLooks bounds how often a round of kill looks for new members before it
// kills what it has: of a tree that grows faster than it is stopped, the dead
// part at least does not grow.
const stopLooks = 8

// stop stops the members that are not in done and returns them pinned. None
// and no error: every member is in done.
func (t *tree) stop(done map[identity]bool) (held []pinned, err error) {
	stopped := map[identity]bool{}
	for range stopLooks {
		t.reap() // a chain of processes that fork and exit leaves many
		if err := t.stopChildren(); err != nil {
			return held, err
		}
		members, err := t.members()
		if err != nil {
			return held, err
		}
		fresh := slices.DeleteFunc(members, func(s *stat) bool { return done[s.identity()] || stopped[s.identity()] })
		if len(fresh) == 0 {
			return held, nil
		}
		more, err := t.pin(fresh[:min(len(fresh), t.pins-len(held))])
		if err != nil {
			return held, err
		}
		for _, p := range more {
			stopped[p.identity] = true
			_ = p.send(unix.SIGSTOP) // SIGKILL tells what may not be signalled
		}
		held = append(held, more...)
		if len(held) == t.pins {
			break // these first
		}
	}
	return held, nil
}

// stopChildren stops the root's own children without a closer look. It is what
// catches a process that forks and exits faster than the tree can be read
// twice. A child that has not been reaped keeps its number, so no pidfd is
// needed.
func (t *tree) stopChildren() error {
	pids, err := t.children(t.root)
	for _, pid := range pids {
		_ = unix.Kill(pid, unix.SIGSTOP)
	}
	return err
}
