package runtime

import (
	"context"
	"syscall"

	"github.com/pkshim/pkshim/pgroup/spawn"
	"github.com/pkshim/pkshim/spec"
)

// A Group is a set of processes that the kernel keeps together. A child of a
// member is a member. Methods may be called concurrently, Close excepted. What
// a mechanism lacks returns an error wrapping errors.ErrUnsupported.
type Group interface {
	// Start starts cmd as a member from its first instruction. If it fails,
	// nothing runs.
	Start(ctx context.Context, cmd *spawn.Command) (spawn.Process, error)
	// Signal sends sig to every member. No members is not an error.
	Signal(sig syscall.Signal) error
	// Kill sends SIGKILL to all members at once; it does not wait.
	Kill() error
	// Pids is a snapshot of the living members.
	Pids() ([]int, error)
	// Stats are the counters of all members there ever were.
	Stats() (*spec.Stats, error)
	// Wait returns when no member is left.
	Wait(ctx context.Context) error
	// Close removes the empty group. It never kills: with members it is an error.
	Close(ctx context.Context) error
}

// opened is a group with what the report says about it.
type opened struct {
	Group
	cgroup, unit string
	abrupt       spec.AbruptCleanup
	notes        []string
}
