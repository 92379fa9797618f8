package spec

import (
	"fmt"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// capabilities checks the names in each set and what the kernel demands and
// makes of the sets. OCI wants a warning for what "cannot be mapped to a
// relevant kernel interface, or cannot be granted" (config.md), so a lenient
// spec has no problem here.
func (v *validator) capabilities(p *specs.Process) {
	const path = "process.capabilities"
	c := p.Capabilities
	for _, set := range []struct {
		name string
		caps []string
	}{
		{"bounding", c.Bounding}, {"effective", c.Effective}, {"inheritable", c.Inheritable},
		{"permitted", c.Permitted}, {"ambient", c.Ambient},
	} {
		for i, name := range set.caps {
			v.capability(item(path+"."+set.name, i), name)
		}
	}
	// capset(2) and PR_CAP_AMBIENT_RAISE answer EPERM to the first two.
	v.subset(path+".effective", c.Effective, c.Permitted, "is not in permitted")
	v.subset(path+".ambient", c.Ambient, c.Permitted, "is not in permitted")
	v.subset(path+".ambient", c.Ambient, c.Inheritable, "is not in inheritable")
	switch {
	case v.spec.InheritUser: // whose the process will be is not known here
	case p.User.UID == 0:
		v.rootCapabilities(p)
	default:
		v.dropped(c.Permitted, c.Ambient, "is dropped at execve: a process that is not root keeps what is in ambient")
	}
}

// rootCapabilities: at execve the kernel gives a process of uid 0 every
// capability of its inheritable and bounding sets, and makes all of them
// effective (capabilities(7), "Capabilities and execution of programs by
// root"). Under no_new_privs the permitted set cannot grow, but all of it still
// becomes effective (security/commoncap.c). Sets that list fewer would be
// a promise that is not kept.
func (v *validator) rootCapabilities(p *specs.Process) {
	const path = "process.capabilities"
	c := p.Capabilities
	if !p.NoNewPrivileges {
		v.subset(path+".bounding", c.Bounding, c.Permitted, "is not in permitted, but execve would give it to uid 0")
		v.subset(path+".inheritable", c.Inheritable, c.Permitted, "is not in permitted, but execve would give it to uid 0")
	}
	v.dropped(c.Permitted, slices.Concat(c.Bounding, c.Inheritable), "is dropped at execve: uid 0 keeps what is in bounding or inheritable")
	v.subset(path+".permitted", c.Permitted, c.Effective, "is not in effective, but execve would make it effective for uid 0")
}

// subset reports each capability of a set that another set lacks.
func (v *validator) subset(path string, set, other []string, what string) {
	for i, name := range set {
		if _, known := CapabilityNumber(name); known && !slices.Contains(other, name) {
			v.soft(item(path, i), "%s %s", name, what)
		}
	}
}

// dropped warns of permitted capabilities that execve takes away. It is no
// problem, since the workload gets less than it might.
func (v *validator) dropped(permitted, kept []string, what string) {
	for i, name := range permitted {
		if _, known := CapabilityNumber(name); known && !slices.Contains(kept, name) {
			v.warn(item("process.capabilities.permitted", i), "%s %s", name, what)
		}
	}
}

func (v *validator) capability(path, name string) {
	if _, known := CapabilityNumber(name); known {
		return
	}
	message := fmt.Sprintf("%s is no capability of Linux", clip(name))
	if v.spec.lenient {
		v.soft(path, "%s", message)
		return
	}
	v.add(path, KindValue, nearestOf(name, capabilities[:], "CAP_"), message)
}
