//go:build !linux

package runtime

import (
	"context"
	"errors"
	"fmt"

	"github.com/pkshim/pkshim/pgroup/spawn"
	"github.com/pkshim/pkshim/spec"
)

// Init is for the helpers of the mechanisms; there are none on this system yet.
func Init() {}

type plan struct{}

func probe() facts {
	none := fact{no, "not on this operating system"}
	return facts{cgroup2: none, kill: none, writable: none, managed: none, delegated: none, bus: none, proc: none}
}

func newPlan(*Options, facts) (*plan, error) { return &plan{}, nil }

func (*plan) wanted(m spec.Mechanism) wanted { return wanted{mechanism: m} }

func open(context.Context, *plan, []spec.Mechanism, []spec.Candidate) (spec.Mechanism, *opened, error) {
	return "", nil, fmt.Errorf("open a group: %w", errors.ErrUnsupported)
}

func newCommand(*Options) (*spawn.Command, []string, error) {
	return nil, nil, fmt.Errorf("start a process: %w", errors.ErrUnsupported)
}

func isExecFailure(error) (notFound, ok bool) { return false, false }
