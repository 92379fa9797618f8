package runtime

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pkshim/pkshim/spec"
)

// advisers look at one thing each: nil is no advice. The order is that of the
// output, from what nothing works without to what is merely nice.
var advisers = []func(*findings) *Advice{
	adviseProc,
	adviseKernel,
	adviseMount,
	adviseNamespace,
	adviseWritable,
	adviseV1,
	adviseUserBus,
	adviseSystemBus,
	adviseChown,
	adviseUserDelegation,
	adviseEnable,
	adviseOther,
	adviseDelegate,
	advisePressure,
	adviseSwap,
}

// basic are the controllers that the usual limits need.
var basic = []string{"cpu", "cpuset", "io", "memory", "pids"}

func adviseProc(f *findings) *Advice {
	if f.facts.proc.answer != no {
		return nil
	}
	return &Advice{
		Name:     "mount_proc",
		Text:     "without /proc no mechanism works: mount it",
		Commands: []string{"mount -t proc proc /proc"},
	}
}

func adviseKernel(f *findings) *Advice {
	if f.facts.kill.answer != no && f.feature("clone_into_cgroup").answer != no {
		return nil
	}
	return &Advice{
		Name: "newer_kernel",
		Text: "systemd and cgroupfs need Linux 5.14 or newer (cgroup.kill, clone3 into a cgroup), and a seccomp filter that allows clone3",
	}
}

// adviseMount: the kernel could, but nobody mounted it.
func adviseMount(f *findings) *Advice {
	h := &f.host
	if f.facts.mount != "" || f.facts.cgroup2.answer != no || !h.v2Known || f.facts.managed.answer == yes || h.container {
		return nil
	}
	return &Advice{
		Name:     "mount_cgroup2",
		Text:     "cgroup v2 is not mounted: mount it, as root, for systemd's and cgroupfs's containment and limits",
		Commands: []string{"mkdir -p /sys/fs/cgroup/unified", "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"},
	}
}

// containerCommands start a container whose cgroup is its own to manage.
var containerCommands = []string{
	"docker run --cgroupns=private --security-opt writable-cgroups=true …  # Docker 28 or newer",
	"podman run --cgroupns=private --security-opt unmask=/sys/fs/cgroup …",
}

// adviseNamespace: a container that sees the mount but not its own place in it.
func adviseNamespace(f *findings) *Advice {
	if !f.host.container || f.facts.cgroup2.answer != no {
		return nil
	}
	return &Advice{
		Name:     "private_cgroup_namespace",
		Text:     "this container has no cgroup v2 of its own: start it with a private cgroup namespace and a writable cgroup, for containment by cgroup and limits",
		Commands: containerCommands,
	}
}

func adviseWritable(f *findings) *Advice {
	if !f.host.container || f.facts.cgroup2.answer != yes || f.facts.managed.answer == yes || f.facts.writable.answer != no || !f.facts.root {
		return nil
	}
	return &Advice{
		Name:     "writable_cgroup",
		Text:     "this container may not manage its cgroup: start it with a private cgroup namespace and a writable cgroup, for containment by cgroup and limits",
		Commands: containerCommands,
	}
}

// adviseV1: a controller is in one hierarchy only, so that v2 cannot have it.
func adviseV1(f *findings) *Advice {
	bound := slices.DeleteFunc(slices.Clone(basic), func(c string) bool { return !slices.Contains(f.host.v1, c) })
	if len(bound) == 0 {
		return nil
	}
	a := &Advice{
		Name: "unified_hierarchy",
		Text: fmt.Sprintf("the controllers %s are bound to cgroup v1, so that their limits cannot be had: boot with this on the kernel's command line", words(bound)),
	}
	option := "cgroup_no_v1=all"
	if f.facts.managed.answer == yes {
		option = "systemd.unified_cgroup_hierarchy=1 " + option
	}
	if f.host.container {
		a.Text += " of the container's host"
	}
	a.Commands = []string{option + "  # for example in GRUB_CMDLINE_LINUX of /etc/default/grub, then update-grub and reboot"}
	return a
}

// adviseUserBus: a user's manager that is not there, or not where it is looked for.
func adviseUserBus(f *findings) *Advice {
	if f.facts.root || f.facts.managed.answer != yes || f.facts.bus.answer != no {
		return nil
	}
	h := &f.host
	environment := fmt.Sprintf("export XDG_RUNTIME_DIR=/run/user/%d", h.uid)
	if h.userBus != "" {
		return &Advice{
			Name:     "name_user_manager",
			Text:     fmt.Sprintf("the user's manager is there (%s), but the environment does not name it; it gives containment by systemd and limits", h.userBus),
			Commands: []string{environment},
		}
	}
	return &Advice{
		Name:     "enable_linger",
		Text:     "no manager of this user runs; one gives containment by systemd and limits: log in, or have one started at boot",
		Commands: []string{"sudo loginctl enable-linger " + h.user, environment},
	}
}

func adviseSystemBus(f *findings) *Advice {
	if !f.facts.root || f.facts.managed.answer != yes || f.facts.bus.answer != no {
		return nil
	}
	return &Advice{
		Name:     "reach_system_manager",
		Text:     "systemd runs and does not answer, so that no scope can be made: " + f.facts.bus.detail,
		Commands: []string{"systemctl status dbus.service", "systemctl daemon-reexec"},
	}
}

// adviseChown: without systemd, root can delegate by giving a cgroup away
// (cgroups(7), "Cgroups delegation: delegating a hierarchy to a less privileged user").
func adviseChown(f *findings) *Advice {
	if f.facts.root || f.host.container || f.facts.managed.answer != no || f.facts.cgroup2.answer != yes || f.facts.writable.answer != no {
		return nil
	}
	dir := fmt.Sprintf("%s/%s", strings.TrimSuffix(f.facts.mount, "/"), f.host.user)
	return &Advice{
		Name: "delegate_by_owner",
		Text: "this user has no cgroup to manage; root can give one, for containment by cgroup and limits",
		Commands: []string{
			"sudo mkdir " + dir,
			fmt.Sprintf("sudo chown %s %s %s/cgroup.procs %s/cgroup.subtree_control %s/cgroup.threads", f.host.user, dir, dir, dir, dir),
			fmt.Sprintf("echo %d | sudo tee %s/cgroup.procs  # moves your shell there", f.host.pid, dir),
		},
	}
}

// adviseUserDelegation: systemd passes memory and pids alone to a user's
// manager (user@.service). cpuset needs systemd 244 or newer.
func adviseUserDelegation(f *findings) *Advice {
	if f.facts.root {
		return nil
	}
	missing := slices.DeleteFunc(f.missing(spec.MechanismSystemd, basic...), func(c string) bool { return !slices.Contains(f.host.top, c) })
	if len(missing) == 0 {
		return nil
	}
	return &Advice{
		Name: "delegate_to_user_manager",
		Text: fmt.Sprintf("the system has the controllers %s and does not delegate them to users' managers, so that their limits cannot be had: delegate them, as root", words(missing)),
		File: &AdviceFile{
			Path:    "/etc/systemd/system/user@.service.d/delegate.conf",
			Content: "[Service]\nDelegate=" + strings.Join(basic, " ") + "\n",
		},
		Commands: []string{"sudo systemctl daemon-reload", fmt.Sprintf("sudo systemctl restart user@%d.service  # ends what runs in it", f.host.uid)},
	}
}

// adviseEnable: the cgroup above has controllers that it does not pass on.
func adviseEnable(f *findings) *Advice {
	if f.facts.managed.answer != no || f.host.above == "" {
		return nil
	}
	withheld := slices.DeleteFunc(f.missing(spec.MechanismCgroupfs, basic...), func(c string) bool { return !slices.Contains(f.host.withheld, c) })
	if len(withheld) == 0 {
		return nil
	}
	return &Advice{
		Name: "enable_controllers",
		Text: fmt.Sprintf("%s has the controllers %s and does not pass them on, so that their limits cannot be had: enable them, as root", f.host.above, words(withheld)),
		Commands: []string{
			fmt.Sprintf("echo '+%s' > %s/cgroup.subtree_control", strings.Join(withheld, " +"), f.host.above),
		},
	}
}

// adviseOther: auto takes the delegated cgroup, where a scope could do more.
func adviseOther(f *findings) *Advice {
	c := choice(f.facts, "limits")
	if c.Mechanism == nil || *c.Mechanism != spec.MechanismCgroupfs || f.source(spec.MechanismSystemd) == nil {
		return nil
	}
	lacking := f.missing(spec.MechanismCgroupfs, basic...)
	more := slices.DeleteFunc(slices.Clone(lacking), func(c string) bool {
		return slices.Contains(f.missing(spec.MechanismSystemd, basic...), c)
	})
	if len(more) == 0 || f.source(spec.MechanismSystemd).Available == nil {
		return nil
	}
	return &Advice{
		Name:     "ask_for_systemd",
		Text:     fmt.Sprintf("the cgroup that is delegated to pkshim lacks the controllers %s, which a scope of systemd has: ask for one", words(more)),
		Commands: []string{"pkshim run --mechanism systemd …"},
	}
}

// adviseDelegate: where systemd works, a delegated cgroup is quicker; where it
// cannot be reached, a unit that is delegated does without it.
func adviseDelegate(f *findings) *Advice {
	if f.facts.managed.answer != yes || f.facts.cgroup2.answer != yes || f.facts.kill.answer == no || f.facts.delegated.answer != no {
		return nil
	}
	a := &Advice{Name: "delegated_unit"}
	unit := "/etc/systemd/system/NAME.service.d/delegate.conf"
	command := "systemd-run --scope -p Delegate=yes pkshim run …"
	if !f.facts.root {
		unit = "~/.config/systemd/user/NAME.service.d/delegate.conf"
		command = "systemd-run --user --scope -p Delegate=yes pkshim run …"
	}
	a.Text = "many runs from one place start quicker by cgroupfs, without asking systemd each time: start their caller in a delegated unit, by a command or by a file of its service"
	if f.facts.bus.answer == no {
		a.Text = "a service with a delegated cgroup can use cgroupfs, without reaching systemd: let its unit have this file"
		command = ""
	}
	a.File = &AdviceFile{Path: unit, Content: "[Service]\nDelegate=yes\n"}
	if command != "" {
		a.Commands = []string{command}
	}
	return a
}

func advisePressure(f *findings) *Advice {
	if f.feature("psi").answer != no {
		return nil
	}
	return &Advice{
		Name:     "enable_psi",
		Text:     "there is no pressure stall information, so that reports have none: boot with this on the kernel's command line",
		Commands: []string{"psi=1"},
	}
}

func adviseSwap(f *findings) *Advice {
	if f.feature("swap_accounting").answer != no {
		return nil
	}
	return &Advice{
		Name:     "enable_swap_accounting",
		Text:     "swap is not counted per cgroup, so that swap limits cannot be had: boot with this on the kernel's command line",
		Commands: []string{"swapaccount=1"},
	}
}
