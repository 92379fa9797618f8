package cgroups

import (
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// A Host is what this process can see of the cgroup v2 hierarchy, without
// having changed anything.
type Host struct {
	Mount Mount
	// Own is this process's cgroup, as /proc/self/cgroup spells it.
	Own string
	// Dir is its directory.
	Dir string
	// Root says that Own is the root of the whole hierarchy, and not merely of
	// a cgroup namespace: only there processes and controllers may be together.
	Root bool
	// Unit is the innermost systemd unit that Own is in, "" if none.
	Unit string
	// Delegated says that systemd marked that unit's cgroup as ours to manage.
	Delegated bool
	// Controllers are available in Own.
	Controllers []string
	// Kill says that cgroups can be killed atomically (Linux 5.14).
	Kill bool
	// Writable is nil if this process may make cgroups in its own and move there.
	Writable error
}

// Inspect reads what there is. The error wraps [ErrNoMount] where there is no
// cgroup v2 or this process is not in it.
func Inspect() (*Host, error) {
	membership, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	own, _, ok, err := parseMembership(membership)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("/proc/self/cgroup has no line for cgroup v2: %w", ErrNoMount)
	}
	mountinfo, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer mountinfo.Close()
	m, err := FindMount(mountinfo, own)
	if err != nil {
		return nil, err
	}
	h := &Host{Mount: m, Own: own}
	if h.Dir, ok = m.Dir(own); !ok {
		return nil, fmt.Errorf("cgroup %s of this process is not below %s: it is outside of the cgroup namespace: %w", own, m.Point, ErrNoMount)
	}
	d, err := openDir(h.Dir)
	if err != nil {
		return nil, err
	}
	defer d.close()
	if h.Controllers, err = d.fields("cgroup.controllers"); err != nil {
		return nil, err
	}
	h.Root = !d.has("cgroup.events")
	// The root has no cgroup.kill, whatever the kernel; cgroup.pressure came later (6.1).
	h.Kill = d.has("cgroup.kill") || h.Root && (d.has("cgroup.pressure") || rootChildKill(d))
	h.Writable = h.writable(m)
	h.Unit, h.Delegated = delegation(m, own)
	return h, nil
}

// rootChildKill looks into any child of the root for cgroup.kill.
func rootChildKill(root *dir) bool {
	names, err := root.children()
	return err == nil && len(names) > 0 && root.has(names[0]+"/cgroup.kill")
}

func (h *Host) writable(m Mount) error {
	if m.ReadOnly {
		return fmt.Errorf("%s is mounted read-only: %w", m.Point, unix.EROFS)
	}
	for _, name := range []string{"", "cgroup.procs", "cgroup.subtree_control"} {
		p := path.Join(h.Dir, name)
		if err := unix.Faccessat(unix.AT_FDCWD, p, unix.W_OK, unix.AT_EACCESS); err != nil {
			return fmt.Errorf("%s is not writable: %w", p, err)
		}
	}
	return nil
}

// delegation finds the innermost unit around a cgroup and whether systemd
// marked it with Delegate=yes. An outer mark is somebody else's: all of a
// user's session is delegated, to the user's manager.
func delegation(m Mount, own string) (unit string, delegated bool) {
	for at := own; at != "/" && at != "."; at = path.Dir(at) {
		name := path.Base(at)
		if !strings.HasSuffix(name, ".service") && !strings.HasSuffix(name, ".scope") {
			continue
		}
		dir, ok := m.Dir(at)
		if !ok {
			return name, false
		}
		// trusted.* is for CAP_SYS_ADMIN alone; systemd 251 added user.delegate.
		for _, attr := range []string{"trusted.delegate", "user.delegate"} {
			var value [2]byte
			n, err := unix.Getxattr(dir, attr, value[:])
			if err == nil && n == 1 && value[0] == '1' {
				return name, true
			}
		}
		return name, false
	}
	return "", false
}
