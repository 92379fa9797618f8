package integration

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// ownHost says that hack/test made this host for the tests alone.
var ownHost = os.Getenv("PKSHIM_BIN") != ""

// watch notes what is there before the tests, and finds what they left:
// processes of the binary, cgroups, units, and the descriptors and goroutines
// of the tests themselves. On a host that others use, only what has this run's
// name is ours.
func watch() (leftovers func() []string) {
	part := session
	if ownHost {
		part = "pkshim-"
	}
	cgroups, units, files := cgroupsOf(part), unitsOf(part), openFiles()
	return func() (left []string) {
		// What a killed pkshim leaves to its guard and to systemd takes a moment.
		for wait := time.Millisecond; wait < 10*time.Second; wait *= 2 {
			left = slices.Concat(
				newOnes("cgroup", cgroupsOf(part), cgroups), newOnes("unit", unitsOf(part), units),
				newOnes("descriptor", openFiles(), files), processes(), goroutines())
			if len(left) == 0 {
				return nil
			}
			<-time.After(wait)
		}
		return left
	}
}

func newOnes(kind string, now, before []string) (fresh []string) {
	for _, name := range now {
		if !slices.Contains(before, name) {
			fresh = append(fresh, kind+" "+name)
		}
	}
	return fresh
}

func processes() (left []string) {
	for _, pid := range pkshims() {
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		left = append(left, fmt.Sprintf("process %d %q", pid, cmdline))
	}
	return left
}

// openFiles are the descriptors, but for those that the Go runtime keeps.
func openFiles() (open []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || strings.HasPrefix(to, "anon_inode:[event") {
			continue // ReadDir's own is closed
		}
		open = append(open, e.Name()+" "+to)
	}
	return open
}

// goroutines are those that tests started.
func goroutines() (left []string) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "/integration.") && !strings.Contains(stack, "integration.TestMain") {
			left = append(left, "goroutine "+stack)
		}
	}
	return left
}
