package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A mechanism is one way to hold a tree, and how to get it here.
type mechanism struct {
	name string
	wrap []string // what runs pkshim in a place where it can be had
}

// args are the command line of `pkshim run` with these.
func (m mechanism) args(args ...string) []string {
	return slices.Concat(m.wrap, []string{bin, "run", "--mechanism", m.name}, args)
}

// auto leaves the choice to pkshim.
var auto = mechanism{name: "auto"}

var (
	isRoot    = os.Geteuid() == 0
	hasSystem = exists("/run/systemd/system")
)

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// manager are the arguments that make systemctl and systemd-run talk to the
// manager that serves this user.
func manager(command string, args ...string) []string {
	if !isRoot {
		return append([]string{command, "--user"}, args...)
	}
	return append([]string{command}, args...)
}

// delegated runs a command in a scope that is its own to manage.
func delegated() []string {
	return manager("systemd-run", "--scope", "--quiet", "--collect", "-p", "Delegate=yes", "--")
}

// mechanisms are all there are, with what is wrong with those that this host
// lacks.
var mechanisms = sync.OnceValue(func() (list []struct {
	mechanism
	err error
}) {
	all := []mechanism{{name: "systemd"}, {name: "cgroupfs"}, {name: "pgroup"}}
	if hasSystem {
		all[1].wrap = delegated()
	}
	for _, m := range all {
		args := m.args("--id", newID(), "--", "/bin/true")
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
		}
		list = append(list, struct {
			mechanism
			err error
		}{m, err})
	}
	return list
})

// each runs a test with each mechanism of the host. The process group is on
// every one.
func each(t *testing.T, test func(*testing.T, mechanism)) {
	t.Helper()
	for _, m := range mechanisms() {
		t.Run(m.name, func(t *testing.T) {
			if m.name == "pgroup" && m.err != nil {
				t.Fatal(m.err)
			}
			require(t, m.name, m.err)
			test(t, m.mechanism)
		})
	}
}

// quickest is a mechanism of this host, for what is the same with all.
func quickest(t *testing.T) mechanism {
	t.Helper()
	for _, m := range mechanisms() {
		if m.err == nil && len(m.wrap) == 0 {
			return m.mechanism
		}
	}
	t.Fatal("no mechanism")
	return mechanism{}
}

// need is the mechanism of that name.
func need(t *testing.T, name string) mechanism {
	t.Helper()
	for _, m := range mechanisms() {
		if m.name == name {
			require(t, name, m.err)
			return m.mechanism
		}
	}
	t.Fatal(name)
	return mechanism{}
}

// needLimits is for tests that need every controller.
func needLimits(t *testing.T) {
	t.Helper()
	have, err := os.ReadFile(filepath.Join(cgroup2(), "cgroup.controllers"))
	for _, c := range []string{"memory", "pids", "cpu", "io"} {
		if err == nil && !slices.Contains(strings.Fields(string(have)), c) {
			err = fmt.Errorf("%s has no %s controller", cgroup2(), c)
		}
	}
	require(t, "limits", err)
}

func needRoot(t *testing.T) {
	t.Helper()
	if !isRoot {
		t.Skip("needs root")
	}
}

func needSystem(t *testing.T) {
	t.Helper()
	var err error
	if !hasSystem {
		err = errors.New("no /run/systemd/system")
	}
	require(t, "systemd", err)
}

// cgroup2 is where the hierarchy is mounted.
var cgroup2 = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if mount, super, _ := strings.Cut(line, " - "); strings.HasPrefix(super, "cgroup2 ") {
			return strings.Fields(mount)[4]
		}
	}
	return ""
})

// ownCgroup is the cgroup v2 of a process, as a directory.
func ownCgroup(t testing.TB, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if dir, ok := strings.CutPrefix(line, "0::"); ok {
			return filepath.Join(cgroup2(), strings.TrimSpace(dir))
		}
	}
	t.Fatalf("process %d is in no cgroup v2: %s", pid, b)
	return ""
}

// times is how often a test repeats what takes so long: as often as is
// demanded, where that fits into its share of time, and at least five times.
// PKSHIM_TEST_SCALE=full is the demanded number everywhere. The log tells.
func times(t testing.TB, demanded int, one, share time.Duration) int {
	t.Helper()
	n := demanded
	if os.Getenv("PKSHIM_TEST_SCALE") != "full" {
		n = min(n, max(5, int(share/max(one, time.Microsecond))))
	}
	t.Logf("%d of %d: one takes %s", n, demanded, one.Round(time.Millisecond))
	return n
}

// cgroupsOf are the cgroups with that in their name.
func cgroupsOf(part string) (found []string) {
	if cgroup2() == "" {
		return nil
	}
	filepath.WalkDir(cgroup2(), func(path string, d fs.DirEntry, err error) error {
		if err != nil { // it is gone meanwhile
			return nil
		}
		if d.IsDir() && strings.Contains(d.Name(), part) {
			found = append(found, path)
			return fs.SkipDir
		}
		return nil
	})
	return found
}

// unitsOf are the systemd units with that in their name.
func unitsOf(part string) []string {
	if !hasSystem {
		return nil
	}
	args := manager("systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", "*"+part+"*")
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return []string{fmt.Sprintf("%q: %v: %s", args, err, out)}
	}
	var units []string
	for line := range strings.Lines(string(out)) {
		units = append(units, strings.Join(strings.Fields(line), " "))
	}
	return units
}

// noUnits waits until no unit with that in its name is left: systemd collects
// some a moment after pkshim has ended.
func noUnits(t testing.TB, part string) {
	t.Helper()
	eventually(t, "no unit of "+part+" is left", func() bool { return len(unitsOf(part)) == 0 })
}

// pkshims are the processes that execute the binary under test: pkshim, its
// guards and keepers.
func pkshims() (pids []int) {
	var want unix.Stat_t
	if unix.Stat(bin, &want) != nil {
		return nil
	}
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		var st unix.Stat_t
		if unix.Stat(dir+"/exe", &st) == nil && st.Dev == want.Dev && st.Ino == want.Ino {
			var pid int
			fmt.Sscan(filepath.Base(dir), &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

// goneTime is how long the last of a run may take to disappear after pkshim
// was killed: a guard that removes a cgroup, systemd that notices.
const goneTime = 30 * time.Second

// nothingLeft checks that no pkshim, guard or keeper runs and that no cgroup
// with that in its name is left. After a SIGKILL that takes a moment: processes
// are awaited by pidfd; for cgroups the kernel has no event, so that they are
// looked for again, less and less often.
func nothingLeft(t testing.TB, part string) {
	t.Helper()
	deadline := time.Now().Add(goneTime)
	for pids := pkshims(); len(pids) > 0; pids = pkshims() {
		for _, pid := range pids {
			if !awaitEnd(pid, time.Until(deadline)) {
				cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				t.Fatalf("process %d is left: %q", pid, cmdline)
			}
		}
	}
	eventually(t, "no cgroup of "+part+" is left", func() bool { return len(cgroupsOf(part)) == 0 })
}

// eventually waits for what the kernel or systemd does in a moment and has no
// event for: it looks again, less and less often.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(goneTime)
	for wait := time.Millisecond; !is(); wait = min(2*wait, time.Second) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", goneTime, what)
		}
		<-time.After(wait)
	}
}

// awaitEnd waits until a process has ended.
func awaitEnd(pid int, timeout time.Duration) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil { // ESRCH
		return true
	}
	defer unix.Close(fd)
	deadline := time.Now().Add(timeout)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(0, time.Until(deadline).Milliseconds())))
		if err != unix.EINTR {
			return n == 1
		}
	}
}
