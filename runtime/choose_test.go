package runtime

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pkshim/pkshim/spec"
)

// host builds facts from a plain systemd host, changed by the options.
func host(change ...func(*facts)) facts {
	f := facts{
		cgroup2: fact{yes, "v2"}, kill: fact{yes, "kill"}, writable: fact{yes, "writable"},
		managed: fact{yes, "systemd"}, delegated: fact{no, "ssh.service has no Delegate=yes"},
		bus: fact{yes, "the system manager"}, proc: fact{yes, "proc"}, root: true,
		mount: "/sys/fs/cgroup", own: "/system.slice/ssh.service",
	}
	for _, c := range change {
		c(&f)
	}
	return f
}

func delegated(f *facts)  { f.delegated = fact{yes, "x.scope is delegated to pkshim (Delegate=yes)"} }
func unmanaged(f *facts)  { f.managed = fact{no, "there is no /run/systemd/system"} }
func container(f *facts)  { unmanaged(f); f.nsRoot, f.own = true, "/" }
func readOnly(f *facts)   { f.writable = fact{no, "/sys/fs/cgroup is mounted read-only"} }
func noBus(f *facts)      { f.bus = fact{no, "no socket"} }
func noCgroup2(f *facts)  { f.cgroup2 = fact{no, "cgroup v2 is not mounted"} }
func oldKernel(f *facts)  { f.kill = fact{no, "the kernel has no cgroup.kill (needs Linux 5.14)"} }
func ordinary(f *facts)   { f.root = false; f.writable = fact{no, "not writable: permission denied"} }
func noProc(f *facts)     { f.proc = fact{no, "/proc shows no processes"} }
func unknownBus(f *facts) { f.bus = fact{unknown, "the user's manager at unix:abstract=x"} }

func TestChoose(t *testing.T) {
	const auto, systemd, cgroupfs, pgroup = spec.MechanismAuto, spec.MechanismSystemd, spec.MechanismCgroupfs, spec.MechanismPgroup
	memory := []string{"linux.resources.memory.limit"}
	tests := []struct {
		name  string
		want  wanted
		facts facts
		try   []spec.Mechanism
		words string // in the error or in a reason
	}{
		{"systemd host", wanted{mechanism: auto}, host(), []spec.Mechanism{systemd, pgroup}, "has not delegated it"},
		{"systemd host with limits", wanted{mechanism: auto, limits: memory}, host(), []spec.Mechanism{systemd}, "cannot enforce linux.resources.memory.limit"},
		{"delegated unit", wanted{mechanism: auto}, host(delegated), []spec.Mechanism{cgroupfs, systemd, pgroup}, "delegated to pkshim"},
		{"delegated unit, a slice asked", wanted{mechanism: auto, unitPath: true}, host(delegated), []spec.Mechanism{systemd}, "a systemd unit or slice was asked for"},
		{"container", wanted{mechanism: auto, limits: memory}, host(container), []spec.Mechanism{cgroupfs}, "ours to manage"},
		{"container, read-only", wanted{mechanism: auto}, host(container, readOnly), []spec.Mechanism{pgroup}, "read-only"},
		{"container, read-only, limits", wanted{mechanism: auto, limits: memory}, host(container, readOnly), nil, "cannot enforce"},
		{"no manager", wanted{mechanism: auto}, host(unmanaged), []spec.Mechanism{cgroupfs, pgroup}, "no systemd manages"},
		{"user session", wanted{mechanism: auto, limits: memory}, host(ordinary), []spec.Mechanism{systemd}, "permission denied"},
		{"user without a manager", wanted{mechanism: auto}, host(ordinary, noBus), []spec.Mechanism{pgroup}, "no socket"},
		{"could not tell about the bus", wanted{mechanism: auto, limits: memory}, host(ordinary, unknownBus), []spec.Mechanism{systemd}, ""},
		{"cgroup v1 only", wanted{mechanism: auto}, host(noCgroup2), []spec.Mechanism{pgroup}, "not mounted"},
		{"old kernel", wanted{mechanism: auto}, host(oldKernel), []spec.Mechanism{pgroup}, "5.14"},
		{"nothing at all", wanted{mechanism: auto}, host(noCgroup2, noProc), nil, "pkshim doctor"},
		{"cgroupfs by name on a systemd host", wanted{mechanism: cgroupfs}, host(), nil, "Delegate=yes"},
		{"cgroupfs by name and path", wanted{mechanism: cgroupfs, filePath: "/x"}, host(), []spec.Mechanism{cgroupfs}, "asked for by name"},
		{"a path alone does not override systemd", wanted{mechanism: auto, filePath: "/x"}, host(), nil, "has not delegated"},
		{"cgroupfs by name and path, not root", wanted{mechanism: cgroupfs, filePath: "/x"}, host(ordinary), nil, "permission denied"},
		{"pgroup by name", wanted{mechanism: pgroup}, host(), []spec.Mechanism{pgroup}, "not asked for"},
		{"pgroup by name with limits", wanted{mechanism: pgroup, limits: memory}, host(), nil, "cannot enforce"},
		{"systemd by name without one", wanted{mechanism: systemd}, host(unmanaged), nil, "/run/systemd/system"},
		{"systemd with a path", wanted{mechanism: systemd, filePath: "/x"}, host(), nil, "slice:prefix:name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			try, considered, err := choose(tt.want, tt.facts)
			if !slices.Equal(try, tt.try) {
				t.Errorf("try %v, want %v", try, tt.try)
			}
			if (err == nil) != (len(tt.try) > 0) {
				t.Errorf("error %v with %v to try", err, try)
			}
			if err != nil && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("error %v is no errors.ErrUnsupported", err)
			}
			said := ""
			if err != nil {
				said = err.Error()
			}
			for _, c := range considered {
				if c.Reason == "" {
					t.Errorf("%s has no reason", c.Mechanism)
				}
				said += "\n" + c.Reason
			}
			if !strings.Contains(said, tt.words) {
				t.Errorf("no %q in %s", tt.words, said)
			}
			if len(considered) != 3 {
				t.Errorf("considered %v", considered)
			}
		})
	}
}
