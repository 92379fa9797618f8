package runtime

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/pkshim/pkshim/spec"
)

var allControllers = []string{"cpu", "cpuset", "hugetlb", "io", "memory", "pids", "rdma"}

// found builds findings about a modern systemd host that is in good order,
// asked by root, changed by the options.
func found(change ...func(*findings)) findings {
	f := findings{
		facts: host(),
		controllers: []Controllers{
			{Mechanism: spec.MechanismCgroupfs, Cgroup: "/system.slice/ssh.service", Available: allControllers},
			{Mechanism: spec.MechanismSystemd, Cgroup: "/", Manager: "257", Available: allControllers},
		},
		features: []feature{
			{"clone_into_cgroup", fact{yes, "clone3"}}, {"psi", fact{yes, "psi"}}, {"swap_accounting", fact{yes, "swap"}},
		},
		host: hostDetails{user: "alice", uid: 1000, pid: 7, v2Known: true, top: allControllers, above: "/sys/fs/cgroup/system.slice"},
	}
	for _, c := range change {
		c(&f)
	}
	return f
}

// on changes the facts alone.
func on(change ...func(*facts)) func(*findings) {
	return func(f *findings) {
		for _, c := range change {
			c(&f.facts)
		}
	}
}

// has sets the controllers that a mechanism has.
func has(m spec.Mechanism, names ...string) func(*findings) {
	return func(f *findings) { f.source(m).Available = names }
}

func drop(m spec.Mechanism) func(*findings) {
	return func(f *findings) {
		f.controllers = slices.DeleteFunc(f.controllers, func(c Controllers) bool { return c.Mechanism == m })
	}
}

func without(name string) func(*findings) {
	return func(f *findings) {
		for i := range f.features {
			if f.features[i].name == name {
				f.features[i].fact = fact{no, name + " is missing"}
			}
		}
	}
}

func contained(f *findings)    { f.host.container = true }
func boundV1(f *findings)      { f.host.v1 = []string{"memory", "pids", "freezer"} }
func busElsewhere(f *findings) { f.host.userBus = "/run/user/1000/bus" }

func TestDiagnose(t *testing.T) {
	const cgroupfs, systemd, pgroup = spec.MechanismCgroupfs, spec.MechanismSystemd, spec.MechanismPgroup
	tests := []struct {
		name     string
		findings findings
		plain    spec.Mechanism // "" is none
		limited  spec.Mechanism
		yes      string   // limits that can be had
		unknown  string   // limits that could not be told
		advice   []string // names
		words    string   // somewhere in the advice
	}{
		{
			"a good host", found(), systemd, systemd,
			"memory swap pids cpu cpuset io hugetlb rdma", "", []string{"delegated_unit"}, "Delegate=yes",
		},
		{
			"a delegated unit", found(on(delegated)), cgroupfs, cgroupfs,
			"memory swap pids cpu cpuset io hugetlb rdma", "", nil, "",
		},
		{
			"a delegated unit that lacks what systemd has", found(on(delegated), has(cgroupfs, "memory", "pids")), cgroupfs, cgroupfs,
			"memory swap pids", "", []string{"ask_for_systemd"}, "--mechanism systemd",
		},
		{
			"a user whose manager has memory and pids", found(on(ordinary), drop(cgroupfs), has(systemd, "memory", "pids")), systemd, systemd,
			"memory swap pids", "", []string{"delegate_to_user_manager", "delegated_unit"}, "Delegate=cpu cpuset io memory pids",
		},
		{
			"a user without a manager", found(on(ordinary, noBus), drop(cgroupfs), drop(systemd)), pgroup, "",
			"", "", []string{"enable_linger", "delegated_unit"}, "sudo loginctl enable-linger alice",
		},
		{
			"a user whose environment does not name the manager", found(on(ordinary, noBus), drop(cgroupfs), drop(systemd), busElsewhere), pgroup, "",
			"", "", []string{"name_user_manager", "delegated_unit"}, "export XDG_RUNTIME_DIR=/run/user/1000",
		},
		{
			"root, and systemd does not answer", found(on(noBus), drop(systemd)), pgroup, "",
			"", "", []string{"reach_system_manager", "delegated_unit"}, "no socket",
		},
		{
			"a manager whose controllers could not be read", found(has(systemd)), systemd, systemd,
			"", "memory swap pids cpu cpuset io hugetlb rdma", []string{"delegated_unit"}, "",
		},
		{
			"a container with a read-only cgroup", found(on(container, readOnly), drop(systemd), contained), pgroup, "",
			"", "", []string{"writable_cgroup"}, "writable-cgroups=true",
		},
		{
			"a container that does not see its cgroup", found(on(unmanaged, noCgroup2), drop(systemd), drop(cgroupfs), contained), pgroup, "",
			"", "", []string{"private_cgroup_namespace"}, "--cgroupns=private",
		},
		{
			"a hybrid host", found(on(unmanaged), drop(systemd), has(cgroupfs, "hugetlb"), boundV1), cgroupfs, cgroupfs,
			"hugetlb", "", []string{"unified_hierarchy"}, "cgroup_no_v1=all",
		},
		{
			"a hybrid host with systemd", found(has(systemd, "hugetlb"), boundV1), systemd, systemd,
			"hugetlb", "", []string{"unified_hierarchy", "delegated_unit"}, "systemd.unified_cgroup_hierarchy=1",
		},
		{
			"no cgroup v2", found(on(unmanaged, noCgroup2), drop(systemd), drop(cgroupfs), func(f *findings) { f.facts.mount = "" }), pgroup, "",
			"", "", []string{"mount_cgroup2"}, "mount -t cgroup2",
		},
		{
			"an old kernel", found(on(oldKernel)), pgroup, "",
			"", "", []string{"newer_kernel"}, "5.14",
		},
		{
			"clone3 is filtered", found(on(delegated), without("clone_into_cgroup")), cgroupfs, cgroupfs,
			"memory swap pids cpu cpuset io hugetlb rdma", "", []string{"newer_kernel"}, "seccomp",
		},
		{
			"no manager, an ordinary user", found(on(unmanaged, ordinary), drop(systemd), drop(cgroupfs)), pgroup, "",
			"", "", []string{"delegate_by_owner"}, "echo 7 | sudo tee /sys/fs/cgroup/alice/cgroup.procs",
		},
		{
			"no manager, and the level above keeps memory", found(on(unmanaged), drop(systemd), has(cgroupfs, "pids"), func(f *findings) { f.host.withheld = []string{"memory", "misc"} }), cgroupfs, cgroupfs,
			"pids", "", []string{"enable_controllers"}, "echo '+memory' > /sys/fs/cgroup/system.slice/cgroup.subtree_control",
		},
		{
			"no swap accounting, no PSI", found(on(delegated), without("psi"), without("swap_accounting")), cgroupfs, cgroupfs,
			"memory pids cpu cpuset io hugetlb rdma", "", []string{"enable_psi", "enable_swap_accounting"}, "swapaccount=1",
		},
		{
			"nothing at all", found(on(unmanaged, noCgroup2, noProc), drop(systemd), drop(cgroupfs), contained), "", "",
			"", "", []string{"mount_proc", "private_cgroup_namespace"}, "mount -t proc",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := diagnose(tt.findings)
			wantMechanism(t, "without limits", d.WithoutLimits.Mechanism, tt.plain)
			wantMechanism(t, "with limits", d.WithLimits.Mechanism, tt.limited)
			var can, unknown, advice []string
			for _, l := range d.Limits {
				switch {
				case l.Enforceable == nil:
					unknown = append(unknown, l.Name)
				case *l.Enforceable:
					can = append(can, l.Name)
				case l.Reason == "":
					t.Errorf("%s cannot be enforced, without a reason", l.Name)
				}
			}
			if got := strings.Join(can, " "); got != tt.yes {
				t.Errorf("limits %q, want %q", got, tt.yes)
			}
			if got := strings.Join(unknown, " "); got != tt.unknown {
				t.Errorf("unknown limits %q, want %q", got, tt.unknown)
			}
			for _, a := range d.Advice {
				advice = append(advice, a.Name)
			}
			if !slices.Equal(advice, tt.advice) {
				t.Errorf("advice %q, want %q", advice, tt.advice)
			}
			said, err := json.Marshal(d.Advice)
			if err != nil {
				t.Fatal(err)
			}
			if plain := strings.NewReplacer(`\u003e`, ">", `\"`, `"`).Replace(string(said)); !strings.Contains(plain, tt.words) {
				t.Errorf("no %q in %s", tt.words, plain)
			}
		})
	}
}

func wantMechanism(t *testing.T, when string, got *spec.Mechanism, want spec.Mechanism) {
	t.Helper()
	if got == nil && want != "" || got != nil && *got != want {
		t.Errorf("%s: mechanism %v, want %q", when, got, want)
	}
}

// What it says of this host, it says by the choice that a run makes.
func TestDiagnoseHere(t *testing.T) {
	d := Diagnose(context.Background())
	try, _, _ := choose(wanted{mechanism: spec.MechanismAuto}, probe())
	if len(try) == 0 {
		if d.WithoutLimits.Mechanism != nil {
			t.Errorf("mechanism %s, a run gets none", *d.WithoutLimits.Mechanism)
		}
		return
	}
	// A manager with a socket that does not answer is found by asking alone.
	if m := d.WithoutLimits.Mechanism; m == nil || !slices.Contains(try, *m) {
		t.Errorf("mechanism %v, a run tries %v", m, try)
	}
}
