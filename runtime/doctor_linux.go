package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	osuser "os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/cgroups"
	"github.com/pkshim/pkshim/spec"
)

// look gathers what doctor tells. It reads files, makes system calls that are
// certain to fail, and asks systemd for two properties.
func look(ctx context.Context) findings {
	f := findings{facts: probe()}
	h, err := cgroups.Inspect()
	if err == nil {
		f.lookControllers(ctx, h)
	}
	f.host = lookHost(h)
	f.features = lookFeatures(&f.facts, h)
	return f
}

// lookControllers asks for the controllers, in the order of the choice. A
// manager that does not answer is a fact about the bus as well.
func (f *findings) lookControllers(ctx context.Context, h *cgroups.Host) {
	if f.facts.writable.answer != no {
		a, err := h.Available()
		f.controllers = append(f.controllers, controllers(spec.MechanismCgroupfs, a, err))
	}
	if f.facts.managed.answer == yes && f.facts.bus.answer != no {
		a, err := h.AvailableScope(ctx, !f.facts.root)
		if err != nil {
			f.facts.bus = fact{no, err.Error()}
		}
		f.controllers = append(f.controllers, controllers(spec.MechanismSystemd, a, err))
	}
}

func controllers(m spec.Mechanism, a *cgroups.Available, err error) Controllers {
	c := Controllers{Mechanism: m}
	if err != nil {
		c.Reason = err.Error()
		return c
	}
	c.Cgroup, c.Manager = a.Cgroup, a.Manager
	c.Available = append([]string{}, a.Controllers...)
	slices.Sort(c.Available)
	return c
}

// lookHost finds what the advice needs to be exact; h may be nil.
func lookHost(h *cgroups.Host) hostDetails {
	d := hostDetails{uid: os.Geteuid(), pid: os.Getppid(), v1: boundToV1()}
	d.user = strconv.Itoa(d.uid)
	if u, err := osuser.LookupId(d.user); err == nil {
		d.user = u.Username
	}
	filesystems, _ := os.ReadFile("/proc/filesystems")
	d.v2Known = slices.Contains(strings.Fields(string(filesystems)), "cgroup2")
	for _, mark := range []string{"/run/systemd/container", "/run/.containerenv", "/.dockerenv"} {
		_, err := os.Stat(mark)
		d.container = d.container || err == nil
	}
	d.container = d.container || os.Getenv("container") != "" || os.Getenv("KUBERNETES_SERVICE_HOST") != ""
	if socket := fmt.Sprintf("/run/user/%d/bus", d.uid); unix.Access(socket, unix.W_OK) == nil {
		d.userBus = socket
	}
	if h == nil {
		return d
	}
	d.top = fields(path.Join(h.Mount.Point, "cgroup.controllers"))
	if h.Dir != h.Mount.Point {
		d.above = path.Dir(h.Dir)
		passed := fields(path.Join(d.above, "cgroup.subtree_control"))
		for _, c := range fields(path.Join(d.above, "cgroup.controllers")) {
			if !slices.Contains(passed, c) {
				d.withheld = append(d.withheld, c)
			}
		}
	}
	return d
}

// fields are the words of a file, none if it cannot be read.
func fields(name string) []string {
	b, _ := os.ReadFile(name)
	return strings.Fields(string(b))
}

// boundToV1 names the controllers of v1 hierarchies as v2 calls them: each
// line HIERARCHY:CONTROLLERS:PATH of /proc/self/cgroup is one hierarchy.
func boundToV1() []string {
	var names []string
	for _, line := range fields("/proc/self/cgroup") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) < 3 || parts[0] == "0" || strings.HasPrefix(parts[1], "name=") {
			continue
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			if name == "blkio" {
				name = "io"
			}
			names = append(names, name)
		}
	}
	return names
}

// lookFeatures probes the kernel by what it does; its version is told by
// nobody, because distributions backport. h may be nil.
func lookFeatures(f *facts, h *cgroups.Host) []feature {
	peak, swap := lookMemoryFiles(h)
	return []feature{
		{"cgroup2", f.cgroup2},
		{"cgroup_kill", f.kill},
		{"clone_into_cgroup", lookClone3()},
		{"pidfd", lookPidfd()},
		{"psi", lookPressure()},
		{"memory_peak", peak},
		{"swap_accounting", swap},
	}
}

// cloneArgs is struct clone_args of Linux 5.7 (CLONE_ARGS_SIZE_VER2).
type cloneArgs struct {
	flags, pidfd, childTid, parentTid, exitSignal, stack, stackSize, tls, setTid, setTidSize, cgroup uint64
}

// lookClone3 calls clone3(2) so that it fails in any case: its exit signal is
// none, and CLONE_SIGHAND must not be without CLONE_VM. A kernel whose structure
// ends before the member cgroup says E2BIG first; ENOSYS comes from one without
// the call, or from a seccomp filter.
func lookClone3() fact {
	args := cloneArgs{flags: unix.CLONE_SIGHAND, exitSignal: 1 << 16, cgroup: 1}
	_, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	switch errno {
	case unix.EINVAL:
		return fact{yes, "clone3(2) takes a cgroup"}
	case unix.E2BIG:
		return fact{no, "clone3(2) takes no cgroup (needs Linux 5.7)"}
	case unix.ENOSYS, unix.EPERM:
		return fact{no, "clone3(2) is missing or filtered: " + errno.Error()}
	}
	return fact{unknown, fmt.Sprintf("clone3(2) says %v", errno)}
}

func lookPidfd() fact {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return fact{no, "pidfd_open(2) is missing or filtered (needs Linux 5.3): " + err.Error()}
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, 0, nil, 0); err != nil {
		return fact{no, "pidfd_send_signal(2) is missing or filtered: " + err.Error()}
	}
	return fact{yes, "a process can be opened and signalled by a descriptor"}
}

// lookPressure: with psi=0 the file is there and cannot be read.
func lookPressure() fact {
	switch _, err := os.ReadFile("/proc/pressure/cpu"); {
	case err == nil:
		return fact{yes, "/proc/pressure is there"}
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.EOPNOTSUPP):
		return fact{no, err.Error()}
	default:
		return fact{unknown, err.Error()}
	}
}

// lookMemoryFiles looks into the first cgroup that has the memory controller:
// our own, one above it, or one below the top. The top itself has no such file.
func lookMemoryFiles(h *cgroups.Host) (peak, swap fact) {
	none := fact{unknown, "no cgroup with the memory controller can be seen"}
	if h == nil {
		return none, none
	}
	var dirs []string
	for dir := h.Dir; strings.HasPrefix(dir, h.Mount.Point); dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	below, _ := filepath.Glob(path.Join(h.Mount.Point, "*", "memory.current"))
	for _, file := range below {
		dirs = append(dirs, path.Dir(file))
	}
	has := func(dir, name string) bool { _, err := os.Stat(path.Join(dir, name)); return err == nil }
	tell := func(dir, name, without string) fact {
		if has(dir, name) {
			return fact{yes, name + " is there"}
		}
		return fact{no, "there is no " + name + " " + without}
	}
	for _, dir := range dirs {
		if has(dir, "memory.current") {
			return tell(dir, "memory.peak", "(needs Linux 5.19)"), tell(dir, "memory.swap.max", "(a kernel without swap, or booted with swapaccount=0)")
		}
	}
	return none, none
}
