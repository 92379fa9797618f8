package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pkshim/pkshim/cgroups"
	"github.com/pkshim/pkshim/spec"
)

// An answer of a probe: could not tell is neither yes nor no.
type answer int

const (
	unknown answer = iota
	no
	yes
)

// A fact is a probe's answer, with the detail that makes it a reason.
type fact struct {
	answer answer
	detail string
}

// facts are what the probes found. They name no mechanism.
type facts struct {
	cgroup2   fact // a v2 hierarchy is mounted writable, and this process is in it
	kill      fact // its cgroups have cgroup.kill
	writable  fact // this process may make cgroups in its own cgroup
	managed   fact // a systemd manages the tree
	delegated fact // our own unit has Delegate=yes
	bus       fact // the manager that would serve us can be asked
	proc      fact // /proc shows processes

	nsRoot bool // our cgroup is the root of a cgroup namespace
	root   bool // effective uid 0

	mount, own string // where v2 is mounted; our cgroup
	mounted    cgroups.Mount
}

// wanted is what the choice depends on.
type wanted struct {
	mechanism spec.Mechanism // auto or one by name
	limits    []string       // OCI paths of limits that need a cgroup
	unitPath  bool           // linux.cgroupsPath is slice:prefix:name, or a slice was given
	filePath  string         // linux.cgroupsPath is this path
}

// choose lists the mechanisms to try, best first, and what was considered with
// its reason. It does no I/O.
func choose(w wanted, f facts) (try []spec.Mechanism, considered []spec.Candidate, err error) {
	judges := []struct {
		mechanism spec.Mechanism
		judge     func(wanted, facts) (bool, string)
	}{
		{spec.MechanismCgroupfs, judgeCgroupfs},
		{spec.MechanismSystemd, judgeSystemd},
		{spec.MechanismPgroup, judgePgroup},
	}
	for _, j := range judges {
		ok, reason := j.judge(w, f)
		if w.mechanism != spec.MechanismAuto && w.mechanism != j.mechanism {
			ok, reason = false, fmt.Sprintf("not asked for: --mechanism %s", w.mechanism)
		}
		if ok {
			try = append(try, j.mechanism)
		}
		considered = append(considered, spec.Candidate{Mechanism: j.mechanism, Reason: reason})
	}
	if len(try) > 0 {
		return try, considered, nil
	}
	return nil, considered, &NoMechanismError{Wanted: w.mechanism, Limits: w.limits, Considered: considered}
}

func judgeCgroupfs(w wanted, f facts) (bool, string) {
	byName := w.mechanism == spec.MechanismCgroupfs && w.filePath != ""
	switch {
	case w.unitPath:
		return false, "a systemd unit or slice was asked for"
	case f.cgroup2.answer != yes:
		return false, f.cgroup2.detail
	case f.kill.answer == no:
		return false, f.kill.detail
	case f.writable.answer != yes && !(byName && f.root):
		return false, f.writable.detail
	case f.delegated.answer == yes:
		return true, f.delegated.detail
	case f.managed.answer == no && f.nsRoot:
		return true, fmt.Sprintf("the cgroup namespace's root at %s is ours to manage", f.mount)
	case f.managed.answer == no:
		return true, fmt.Sprintf("no systemd manages %s: %s", f.mount, f.managed.detail)
	case byName && f.root:
		return true, fmt.Sprintf("asked for by name and path; systemd manages the tree and may change %s", w.filePath)
	}
	return false, fmt.Sprintf("systemd manages %s and has not delegated it: %s (systemd-run --scope -p Delegate=yes gives a delegated one)", f.own, f.delegated.detail)
}

func judgeSystemd(w wanted, f facts) (bool, string) {
	switch {
	case w.filePath != "":
		return false, "linux.cgroupsPath is a path: systemd takes slice:prefix:name"
	case f.managed.answer != yes:
		return false, f.managed.detail
	case f.cgroup2.answer != yes:
		return false, f.cgroup2.detail
	case f.kill.answer == no:
		return false, f.kill.detail
	case f.bus.answer == no:
		return false, f.bus.detail
	}
	return true, f.bus.detail
}

func judgePgroup(w wanted, f facts) (bool, string) {
	switch {
	case len(w.limits) > 0:
		return false, "it cannot enforce " + strings.Join(w.limits, ", ")
	case w.unitPath || w.filePath != "":
		return false, "it has no cgroup, and one was named"
	case f.proc.answer != yes:
		return false, f.proc.detail
	}
	return true, "a subreaper holds the whole tree; no limits, no counters but CPU time"
}

// take marks the candidate that was opened, with what that took.
func take(considered []spec.Candidate, m spec.Mechanism, notes []string) {
	at := slices.IndexFunc(considered, func(c spec.Candidate) bool { return c.Mechanism == m })
	c := &considered[at]
	c.Taken = true
	c.Reason = strings.Join(append([]string{c.Reason}, notes...), "; ")
}

// A NoMechanismError says why no mechanism can do what was asked.
type NoMechanismError struct {
	Wanted     spec.Mechanism
	Limits     []string
	Considered []spec.Candidate
}

func (e *NoMechanismError) Error() string {
	var b strings.Builder
	if e.Wanted == spec.MechanismAuto {
		b.WriteString("no mechanism of this host can do what was asked")
	} else {
		fmt.Fprintf(&b, "mechanism %s cannot do what was asked", e.Wanted)
	}
	for _, c := range e.Considered {
		if e.Wanted == spec.MechanismAuto || e.Wanted == c.Mechanism {
			fmt.Fprintf(&b, "; %s: %s", c.Mechanism, c.Reason)
		}
	}
	b.WriteString("; see pkshim doctor")
	return b.String()
}

// Is makes the error an [errors.ErrUnsupported].
func (e *NoMechanismError) Is(target error) bool { return target == errors.ErrUnsupported }
