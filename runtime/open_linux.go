package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pkshim/pkshim/cgroups"
	"github.com/pkshim/pkshim/pgroup"
	"github.com/pkshim/pkshim/spec"
)

var (
	_ Group = (*cgroups.Group)(nil)
	_ Group = (*pgroup.Group)(nil)
)

// guardArg is the first argument of the process that cleans up after a run
// whose owner was killed.
const guardArg = "pkshim-guard"

// Init makes this process one of the helpers that the mechanisms start from
// this very program, if it was started as one, and does not return then. A
// program that runs workloads calls it first thing in main. It costs nothing.
func Init() {
	pgroup.Init()
	if len(os.Args) > 0 && os.Args[0] == guardArg {
		const dir = 2 // where the guard has the cgroup's parent
		if err := cgroups.CleanUp(context.Background(), dir, os.Args[1:]); err != nil {
			os.Exit(spec.CodeCannot) // there is nobody left to tell
		}
		os.Exit(0)
	}
}

// A plan is what is to be opened, the same for all mechanisms.
type plan struct {
	id       string
	path     cgroups.Path
	slice    string
	settings []cgroups.Setting
	facts    facts
}

func newPlan(o *Options, f facts) (*plan, error) {
	p := &plan{id: o.ID, slice: o.Slice, facts: f}
	var err error
	if l := o.Spec.Linux; l != nil {
		if p.path, err = cgroups.ParsePath(l.CgroupsPath); err != nil {
			return nil, fmt.Errorf("linux.cgroupsPath: %w", err)
		}
		if p.settings, err = cgroups.Settings(l.Resources, os.Getpagesize()); err != nil {
			return nil, fmt.Errorf("linux.resources: %w", err)
		}
	}
	if p.slice != "" {
		if _, err := cgroups.ExpandSlice(p.slice); err != nil {
			return nil, err
		}
		if p.path.Slice != "" && p.path.Slice != p.slice {
			return nil, fmt.Errorf("slice %s: linux.cgroupsPath names another one, %s", p.slice, p.path.Slice)
		}
	}
	return p, nil
}

func (p *plan) wanted(m spec.Mechanism) wanted {
	w := wanted{mechanism: m, unitPath: p.path.Systemd || p.slice != "", filePath: p.path.Dir}
	seen := map[string]bool{}
	for _, s := range p.settings {
		if !seen[s.Field] {
			seen[s.Field] = true
			w.limits = append(w.limits, s.Field)
		}
	}
	return w
}

// open opens the first mechanism that can be had. One that turns out to be
// unavailable, with nothing changed, is passed over with that reason.
func open(ctx context.Context, p *plan, try []spec.Mechanism, considered []spec.Candidate) (spec.Mechanism, *opened, error) {
	var passed []error
	for _, m := range try {
		g, err := p.open(ctx, m)
		if err == nil {
			take(considered, m, g.notes)
			return m, g, nil
		}
		if !unavailable(err) {
			return "", nil, fmt.Errorf("open a group by %s: %w", m, err)
		}
		for i := range considered {
			if considered[i].Mechanism == m {
				considered[i].Reason = err.Error()
			}
		}
		passed = append(passed, fmt.Errorf("%s: %w", m, err))
	}
	return "", nil, errors.Join(passed...)
}

// unavailable says that nothing was changed and another mechanism may be able
// to do it: a manager that does not answer, a controller that is not delegated.
func unavailable(err error) bool {
	var u *cgroups.UnavailableError
	var m *cgroups.MissingControllerError
	return errors.As(err, &u) || errors.As(err, &m)
}

func (p *plan) open(ctx context.Context, m spec.Mechanism) (*opened, error) {
	switch m {
	case spec.MechanismCgroupfs:
		g, err := cgroups.New(ctx, cgroups.FSOptions{
			ID: p.id, Mount: p.facts.mounted, Own: p.facts.own, Dir: p.path.Dir,
			Settings: p.settings, Guard: []string{guardArg},
		})
		return cgroupOpened(g, err)
	case spec.MechanismSystemd:
		unit, slice, err := p.unit()
		if err != nil {
			return nil, err
		}
		g, err := cgroups.NewScope(ctx, cgroups.ScopeOptions{
			Unit: unit, Slice: slice, User: !p.facts.root, Mount: p.facts.mounted, Own: p.facts.own,
			Settings: p.settings, Description: "pkshim " + p.id, Guard: []string{guardArg},
		})
		return cgroupOpened(g, err)
	case spec.MechanismPgroup:
		g, err := pgroup.New(ctx)
		if err != nil {
			return nil, err
		}
		return &opened{Group: g, abrupt: spec.AbruptWholeTree}, nil
	}
	return nil, fmt.Errorf("mechanism %q: %w", m, errors.ErrUnsupported)
}

func cgroupOpened(g *cgroups.Group, err error) (*opened, error) {
	if err != nil {
		return nil, err
	}
	return &opened{Group: g, cgroup: g.Path, unit: g.Unit, abrupt: spec.AbruptWholeTree, notes: g.Notes}, nil
}

// unit is the scope's name and slice.
func (p *plan) unit() (unit, slice string, err error) {
	slice = p.slice
	if p.path.Systemd {
		if slice == "" {
			slice = p.path.Slice
		}
		return p.path.Unit(), slice, nil
	}
	unit, err = cgroups.UnitName("pkshim", p.id)
	return unit, slice, err
}
