package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// eachLimiting runs a test with the mechanisms that have limits, on a host that
// has all controllers.
func eachLimiting(t *testing.T, test func(*testing.T, mechanism)) {
	t.Helper()
	needLimits(t)
	each(t, func(t *testing.T, m mechanism) {
		if m.name == "pgroup" {
			t.Skip("has no limits")
		}
		test(t, m)
	})
}

// limits is a spec of a program under these resources.
func limits(args []string, resources object) object {
	return object{"process": object{"args": args, "cwd": "/"}, "linux": object{"resources": resources}}
}

// A limit as the leaf's file has it, as systemd shows it, and as the unit's
// file has it where that differs.
type limit struct{ file, value, property, shown, unit string }

// TestLimitsAgree: request, files of the unit and of the leaf, and properties
// are equal at the start, after a daemon-reload and after somebody has set
// another property.
func TestLimitsAgree(t *testing.T) {
	request := object{
		"memory":  object{"limit": 67109999, "swap": 67109999 + 33554432, "reservation": 16777216},
		"cpu":     object{"shares": 512, "quota": 150000, "period": 100000, "cpus": "0"},
		"pids":    object{"limit": 77},
		"unified": object{"memory.high": "48M"},
	}
	want := []limit{
		{"memory.max", "67108864", "MemoryMax", "67108864", ""}, // a whole page
		{"memory.swap.max", "33554432", "MemorySwapMax", "33554432", ""},
		{"memory.low", "16777216", "MemoryLow", "16777216", ""},
		{"memory.high", "50331648", "MemoryHigh", "50331648", ""},
		{"cpu.weight", "59", "CPUWeight", "59", ""},
		{"cpu.max", "150000 100000", "CPUQuotaPerSecUSec", "1.500000s", ""},
		{"cpuset.cpus", "0", "AllowedCPUs", "0", ""},
		{"pids.max", "77", "TasksMax", "78", "78"}, // one task of the unit is not the workload's
	}
	eachLimiting(t, func(t *testing.T, m mechanism) {
		tr := trapped(t, call{mechanism: m, spec: limits(self("trap"), request)})
		leaf := ownCgroup(t, tr.pid)
		agree := func(when string) {
			t.Helper()
			for _, l := range want {
				l.inFile(t, when, leaf)
			}
			if m.name != "systemd" {
				return
			}
			unit := filepath.Dir(leaf)
			for _, l := range want {
				if l.unit != "" {
					l.value = l.unit
				}
				l.inFile(t, when, unit)
			}
			shown(t, when, filepath.Base(unit), want)
		}
		agree("at the start")
		if m.name == "systemd" {
			systemctl(t, "daemon-reload")
			agree("after daemon-reload")
			systemctl(t, "set-property", "--runtime", filepath.Base(filepath.Dir(leaf)), "IOWeight=77")
			agree("after set-property")
		}
		tr.input.Close()
		res := tr.ran()
		res.exited(t, 0)
		nothingLeft(t, res.id)
	})
}

func (l *limit) inFile(t *testing.T, when, dir string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, l.file))
	if got := strings.TrimSpace(string(b)); err != nil || got != l.value {
		t.Errorf("%s: %s of %s is %q, want %q (%v)", when, l.file, filepath.Base(dir), got, l.value, err)
	}
}

// shown compares the unit's properties.
func shown(t *testing.T, when, unit string, want []limit) {
	t.Helper()
	args := []string{"show", unit}
	for _, l := range want {
		args = append(args, "-p", l.property)
	}
	lines := strings.Split(systemctl(t, args...), "\n")
	for _, l := range want {
		if !slices.Contains(lines, l.property+"="+l.shown) {
			t.Errorf("%s: want %s=%s of %s:\n%s", when, l.property, l.shown, unit, strings.Join(lines, "\n"))
		}
	}
}

func systemctl(t *testing.T, args ...string) string {
	t.Helper()
	args = manager("systemctl", args...)
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Errorf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// hog takes 64 MB at once.
var hog = []string{"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"}

// TestOOM: of a hundred workloads that the kernel kills for their memory, a
// hundred are reported so.
func TestOOM(t *testing.T) {
	small := object{"memory": object{"limit": 8 << 20, "swap": 8 << 20}}
	eachLimiting(t, func(t *testing.T, m mechanism) {
		start := time.Now()
		outOfMemory(t, call{mechanism: m, spec: limits(hog, small)})
		for range times(t, 100, time.Since(start), 30*time.Second) {
			outOfMemory(t, call{mechanism: m, spec: limits(hog, small)})
		}
		// A child's death is not the workload's, and is counted all the same.
		res := call{mechanism: m, spec: limits(shell(strings.Join(hog, " ")+"; exit $?"), small)}.ran(t)
		res.exited(t, 137)
		if e := res.report.Stats.Memory.Events; e == nil || *e.OOMKill != 1 || !*res.report.LimitsFired.Memory {
			t.Errorf("events %+v", e)
		}
		// And SIGKILL from elsewhere is no OOM kill.
		res = call{mechanism: m, spec: limits(shell("kill -KILL $$"), small)}.ran(t)
		if e := res.report.Exit; e.Reason != "signaled" || res.code != 137 || *res.report.LimitsFired.Memory {
			t.Errorf("%+v", e)
		}
	})
}

func outOfMemory(t *testing.T, c call) {
	t.Helper()
	res := c.ran(t)
	r := res.report
	if r.Exit.Reason != "oom" || r.Exit.SignalName != "SIGKILL" || res.code != 137 {
		t.Fatalf("exit code %d, %+v", res.code, r.Exit)
	}
	if r.LimitsFired.Memory == nil || !*r.LimitsFired.Memory {
		t.Error("the memory limit did not fire")
	}
	m := r.Stats.Memory
	if m == nil || m.Events == nil || m.Events.OOMKill == nil || *m.Events.OOMKill != 1 || *m.Events.Max == 0 {
		t.Errorf("memory %+v", m)
	} else if *m.Peak > 8<<20 {
		t.Errorf("peak %d is more than the limit", *m.Peak)
	}
}

// TestSmallMemory: a workload starts where there is no more than a megabyte.
func TestSmallMemory(t *testing.T) {
	eachLimiting(t, func(t *testing.T, m mechanism) {
		for range 5 {
			call{mechanism: m, flags: []string{"--memory", "1M"}, command: []string{"/bin/true"}}.ran(t).exited(t, 0)
			res := call{mechanism: m, flags: []string{"--memory", "1M"}, command: shell("echo ok")}.ran(t)
			if res.exited(t, 0); res.stdout != "ok\n" {
				t.Errorf("output %q", res.stdout)
			}
		}
	})
}

// TestPids: the kernel refuses the fork beyond the limit, and that is counted.
func TestPids(t *testing.T) {
	eachLimiting(t, func(t *testing.T, m mechanism) {
		const most = 40 // the helper's threads count
		res := call{mechanism: m, flags: []string{"--pids", strconv.Itoa(most)}, command: self("forks", "100")}.ran(t)
		res.exited(t, 0)
		if res.stdout = strings.TrimLeft(res.stdout, "."); res.stdout != "resource temporarily unavailable\n" {
			t.Errorf("output %q", res.stdout)
		}
		p := res.report.Stats.Pids
		if p == nil || p.Refused == nil || *p.Refused == 0 || !*res.report.LimitsFired.Pids {
			t.Errorf("pids %+v, fired %+v", p, res.report.LimitsFired)
		}
		if p != nil && (p.Peak == nil || *p.Peak != most) {
			t.Errorf("peak %v, want %d", p.Peak, most)
		}
		if n := *res.report.Leftovers.Killed; n < 20 || n >= most {
			t.Errorf("%d leftovers", n)
		}
		// No more tasks than none: nothing can start, and pkshim says so.
		call{mechanism: m, flags: []string{"--pids", "0"}}.refused(t, "resource temporarily unavailable")
	})
}

// TestCPU: a tenth of a processor takes ten times as long.
func TestCPU(t *testing.T) {
	eachLimiting(t, func(t *testing.T, m mechanism) {
		res := call{mechanism: m, flags: []string{"--cpus", "0.1"}, command: self("burn", "200")}.ran(t)
		res.exited(t, 0)
		c := res.report.Stats.CPU
		if c == nil || c.Throttled == nil || c.UsageUsec == nil {
			t.Fatalf("cpu %+v", c)
		}
		wall := res.report.ExitedAt.Sub(*res.report.StartedAt)
		used := time.Duration(*c.UsageUsec) * time.Microsecond
		t.Logf("%s of processor time in %s, throttled in %d of %d periods, for %s", used, wall, *c.Throttled, *c.Periods, time.Duration(*c.ThrottledUsec)*time.Microsecond)
		if used < 200*time.Millisecond || float64(used) > float64(wall)*0.1+float64(20*time.Millisecond) {
			t.Error("more than was allowed")
		}
		if *c.Throttled == 0 || *c.Throttled > *c.Periods || *c.ThrottledUsec == 0 || !*res.report.LimitsFired.CPU {
			t.Errorf("fired %v", *res.report.LimitsFired.CPU)
		}
	})
}

// TestUnified: cgroup v2's own files, those without a property included.
func TestUnified(t *testing.T) {
	eachLimiting(t, func(t *testing.T, m mechanism) {
		files := object{"memory.high": "8M", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "50", "cpu.weight": "200"}
		tr := trapped(t, call{mechanism: m, spec: limits(self("trap"), object{"unified": files})})
		leaf := ownCgroup(t, tr.pid)
		for file, value := range map[string]string{"memory.high": "8388608", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "50", "cpu.weight": "200"} {
			l := limit{file: file, value: value}
			l.inFile(t, "at the start", leaf)
		}
		tr.input.Close()
		tr.ran().exited(t, 0)

		// memory.high is no wall: the kernel slows and counts, and kills nothing.
		res := call{mechanism: m, spec: limits(shell("dd if=/dev/zero of=/dev/null bs=12M count=1"), object{"unified": object{"memory.high": "8M"}})}.ran(t)
		res.exited(t, 0)
		if e := res.report.Stats.Memory.Events; e == nil || e.High == nil || *e.High == 0 {
			t.Errorf("events %+v", e)
		}
		// With oom.group, the whole tree goes.
		res = call{mechanism: m, spec: limits(shell("sleep 300 & "+strings.Join(hog, " ")+"; echo survived"),
			object{"memory": object{"limit": 8 << 20, "swap": 8 << 20}, "unified": object{"memory.oom.group": "1"}})}.ran(t)
		if res.report.Exit.Reason != "oom" || res.stdout != "" {
			t.Errorf("%+v, output %q", res.report.Exit, res.stdout)
		}
	})
}

// TestLimitsRefused: a limit that cannot be had is an error before anything
// starts, with every mechanism.
func TestLimitsRefused(t *testing.T) {
	each(t, func(t *testing.T, m mechanism) {
		if m.name == "pgroup" {
			call{mechanism: m, flags: []string{"--memory", "64M"}}.refused(t, "pgroup", "linux.resources.memory.limit")
			return
		}
		bad := object{"unified": object{"memory.no_such_file": "1"}}
		res := call{mechanism: m, spec: limits(nil, bad)}.refused(t, "memory")
		nothingLeft(t, res.id)
		have, err := os.ReadFile(filepath.Join(cgroup2(), "cgroup.controllers"))
		if err != nil {
			t.Fatal(err)
		}
		for controller, flags := range map[string][]string{"memory": {"--memory", "64M"}, "pids": {"--pids", "50"}, "cpu": {"--cpus", "0.5"}} {
			if !slices.Contains(strings.Fields(string(have)), controller) {
				res := call{mechanism: m, flags: flags}.refused(t, controller)
				nothingLeft(t, res.id)
				res = call{mechanism: auto, flags: flags}.refused(t, controller)
				nothingLeft(t, res.id)
			}
		}
	})
}
