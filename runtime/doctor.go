package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pkshim/pkshim/spec"
)

// DiagnosisVersion is the version of the diagnosis' format. A reader of version
// n may meet new properties in version n, never a changed meaning.
const DiagnosisVersion = 1

// A Diagnosis is what a run would get on this host, and what would improve that.
type Diagnosis struct {
	Version int `json:"version"`
	// WithoutLimits is the choice for a run that asks for no limit.
	WithoutLimits Choice `json:"withoutLimits"`
	// WithLimits is the choice for a run with some limit. Whether its mechanism
	// has the controller for a certain one, Limits tells.
	WithLimits  Choice        `json:"withLimits"`
	Controllers []Controllers `json:"controllers"`
	Limits      []Limit       `json:"limits"`
	Features    []Feature     `json:"features"`
	// Advice is what would improve the host, the most important first.
	Advice []Advice `json:"advice"`
}

// A Choice is what --mechanism auto takes.
type Choice struct {
	Mechanism  *spec.Mechanism  `json:"mechanism"` // null: none can be had
	Candidates []spec.Candidate `json:"candidates"`
}

// Controllers are the cgroup controllers within reach of one mechanism.
type Controllers struct {
	Mechanism spec.Mechanism `json:"mechanism"`
	// Cgroup is the one whose children can have them.
	Cgroup string `json:"cgroup,omitempty"`
	// Manager is the version of the systemd that was asked.
	Manager   string   `json:"manager,omitempty"`
	Available []string `json:"available"` // null: could not tell
	// Reason is why they could not be told.
	Reason string `json:"reason,omitempty"`
}

// A Limit says whether a run can have a certain limit.
type Limit struct {
	Name        string          `json:"name"`
	Enforceable *bool           `json:"enforceable"` // null: could not tell
	Mechanism   *spec.Mechanism `json:"mechanism"`   // that a run with it would take
	// Reason is why it is not enforceable, or could not be told.
	Reason string `json:"reason,omitempty"`
}

// A Feature is something the kernel has or lacks.
type Feature struct {
	Name      string `json:"name"`
	Available *bool  `json:"available"` // null: could not tell
	Detail    string `json:"detail"`
}

// Advice is one thing that somebody can do to improve the host.
type Advice struct {
	// Name is stable: one name is one kind of advice.
	Name string `json:"name"`
	// Text says what is wrong and what doing it brings.
	Text string `json:"text"`
	// File is to be created, before the commands.
	File *AdviceFile `json:"file,omitempty"`
	// Commands are for a shell.
	Commands []string `json:"commands,omitempty"`
}

// An AdviceFile is a file to create.
type AdviceFile struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

// findings are what there is to see on this host, beyond the facts of a run.
type findings struct {
	facts       facts
	controllers []Controllers
	features    []feature
	host        hostDetails
}

// A feature is a fact about the kernel, by a stable name.
type feature struct {
	name string
	fact
}

// hostDetails are for the advice alone.
type hostDetails struct {
	user      string   // the caller's name, or number
	uid       int      // and number
	pid       int      // pkshim's caller, whose cgroup the commands are about
	container bool     // pkshim is in a container
	v1        []string // controllers that are bound to cgroup v1 hierarchies
	v2Known   bool     // the kernel has a cgroup2 file system
	top       []string // controllers of the uppermost cgroup that can be seen
	above     string   // directory of the cgroup above our own, "" if there is none
	withheld  []string // controllers that it has and does not pass on
	userBus   string   // the socket of the user's manager where the environment does not name it
}

// Diagnose says what this host can do. It changes nothing, and asks with the
// probes and the choice that a run uses; that a run really gets it, only a run
// can tell.
func Diagnose(ctx context.Context) *Diagnosis { return diagnose(look(ctx)) }

// diagnose is pure.
func diagnose(f findings) *Diagnosis {
	d := &Diagnosis{
		Version:       DiagnosisVersion,
		WithoutLimits: choice(f.facts),
		WithLimits:    choice(f.facts, "limits"),
		Controllers:   append([]Controllers{}, f.controllers...),
		Features:      []Feature{},
		Advice:        []Advice{},
	}
	for _, x := range f.features {
		d.Features = append(d.Features, Feature{x.name, x.answer.bool(), x.detail})
	}
	for _, l := range limitNeeds {
		d.Limits = append(d.Limits, judgeLimit(&f, l.name, l.controller, l.field))
	}
	for _, advise := range advisers {
		if a := advise(&f); a != nil {
			d.Advice = append(d.Advice, *a)
		}
	}
	return d
}

// choice is what auto takes with these limits.
func choice(f facts, limits ...string) Choice {
	try, considered, _ := choose(wanted{mechanism: spec.MechanismAuto, limits: limits}, f)
	c := Choice{Candidates: considered}
	if len(try) > 0 {
		c.Mechanism = &try[0]
		take(considered, try[0], nil)
	}
	return c
}

// limitNeeds are the limits of a spec by short names, each with the controller
// that enforces it and a property that asks for it.
var limitNeeds = []struct{ name, controller, field string }{
	{"memory", "memory", "linux.resources.memory.limit"},
	{"swap", "memory", "linux.resources.memory.swap"},
	{"pids", "pids", "linux.resources.pids.limit"},
	{"cpu", "cpu", "linux.resources.cpu.quota"},
	{"cpuset", "cpuset", "linux.resources.cpu.cpus"},
	{"io", "io", "linux.resources.blockIO"},
	{"hugetlb", "hugetlb", "linux.resources.hugepageLimits"},
	{"rdma", "rdma", "linux.resources.rdma"},
}

func judgeLimit(f *findings, name, controller, field string) Limit {
	l := Limit{Name: name}
	c := choice(f.facts, field)
	if l.Mechanism = c.Mechanism; l.Mechanism == nil {
		l.Enforceable, l.Reason = no.bool(), "no mechanism with limits can be had"
		return l
	}
	source := f.source(*c.Mechanism)
	switch {
	case source == nil:
		l.Reason = "nobody could be asked for the controllers"
	case source.Available == nil:
		l.Reason = source.Reason
	case !slices.Contains(source.Available, controller):
		l.Enforceable = no.bool()
		l.Reason = fmt.Sprintf("cgroup %s has no %s controller", source.Cgroup, controller)
		if slices.Contains(f.host.v1, controller) {
			l.Reason += ": it is bound to cgroup v1"
		}
	default:
		l.Enforceable = yes.bool()
	}
	if swap := f.feature("swap_accounting"); name == "swap" && l.Enforceable != nil && *l.Enforceable && swap.answer != yes {
		l.Enforceable, l.Reason = swap.answer.bool(), swap.detail
	}
	return l
}

func (f *findings) source(m spec.Mechanism) *Controllers {
	for i := range f.controllers {
		if f.controllers[i].Mechanism == m {
			return &f.controllers[i]
		}
	}
	return nil
}

func (f *findings) feature(name string) fact {
	for _, x := range f.features {
		if x.name == name {
			return x.fact
		}
	}
	return fact{unknown, "not looked for"}
}

// missing are those of the wanted controllers that a mechanism lacks; nil also
// if that could not be told.
func (f *findings) missing(m spec.Mechanism, wanted ...string) []string {
	source := f.source(m)
	if source == nil || source.Available == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(c string) bool { return slices.Contains(source.Available, c) })
}

// bool is nil for an answer that is neither yes nor no.
func (a answer) bool() *bool {
	if a == unknown {
		return nil
	}
	b := a == yes
	return &b
}

// words joins names for a sentence.
func words(names []string) string { return strings.Join(names, ", ") }
