package spawn

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
)

func rlimitOf(t *testing.T, pid, resource int) (l unix.Rlimit) {
	t.Helper()
	if err := unix.Prlimit(pid, resource, nil, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRlimits(t *testing.T) {
	const big = 1 << 40
	// All of getrlimit(2), each below what this process has.
	limits := []Rlimit{
		{unix.RLIMIT_CPU, 1000, 2000}, {unix.RLIMIT_FSIZE, 0, big}, {unix.RLIMIT_DATA, big, big},
		{unix.RLIMIT_STACK, 1 << 20, 1 << 30}, {unix.RLIMIT_CORE, 0, 0}, {unix.RLIMIT_RSS, big, big},
		{unix.RLIMIT_NPROC, 1, 5}, {unix.RLIMIT_NOFILE, 5, 10}, {unix.RLIMIT_MEMLOCK, 0, 4096},
		{unix.RLIMIT_AS, big, big}, {unix.RLIMIT_LOCKS, 3, 4}, {unix.RLIMIT_SIGPENDING, 0, 9},
		{unix.RLIMIT_MSGQUEUE, 0, 0}, {unix.RLIMIT_NICE, 0, 0}, {unix.RLIMIT_RTPRIO, 0, 0},
		{unix.RLIMIT_RTTIME, big, big},
	}
	pid := live(t, Command{Rlimits: limits}).Pid()
	for _, l := range limits {
		if got := rlimitOf(t, pid, l.Type); got != (unix.Rlimit{Cur: l.Soft, Max: l.Hard}) {
			t.Errorf("limit %d is %d, want %d:%d", l.Type, got, l.Soft, l.Hard)
		}
	}
	pid = live(t, Command{}).Pid()
	for _, l := range limits {
		if l.Type == unix.RLIMIT_NOFILE {
			continue // Go raised its own
		}
		if got, want := rlimitOf(t, pid, l.Type), rlimitOf(t, 0, l.Type); got != want {
			t.Errorf("limit %d of the zero Command is %d, this process has %d", l.Type, got, want)
		}
	}
}

func TestRlimitNotPermitted(t *testing.T) {
	requireRoot(t)
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	for _, l := range []Rlimit{{unix.RLIMIT_NOFILE, 1, 1 << 31}, {unix.RLIMIT_NOFILE, 2, 1}, {99, 0, 0}} {
		o := startIn(t, attr, &Command{Args: []string{"/bin/true"}, Rlimits: []Rlimit{l}})
		step := fmt.Sprintf("set resource limit %d to %d:%d: ", l.Type, l.Soft, l.Hard)
		if !strings.HasPrefix(o.Err, step) || o.Errno == 0 || o.Exec || len(o.Children) > 0 {
			t.Errorf("%+v: %+v", l, o)
		}
	}
}

// A workload has the limit that this process was started with, not the one to
// which Go raises it.
func TestNofileIsOriginal(t *testing.T) {
	want, err := exec.Command("/bin/sh", "-c", "ulimit -S -n; ulimit -H -n").Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, out := run(t, &Command{Args: []string{"/bin/sh", "-c", "ulimit -S -n; ulimit -H -n"}}); out != string(want) {
		t.Errorf("a child of os/exec has %q, ours %q", want, out)
	}
	c := &Command{Args: []string{"/bin/sh", "-c", "ulimit -S -n; ulimit -H -n"}}
	lowered := exec.Command("/bin/sh", "-c", `ulimit -S -n 333; exec "$@"`, "sh", "/proc/self/exe", "helper:start", asJSON(t, c))
	lowered.Args[4], err = os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if o := startInCmd(t, lowered, nil); o.Output != "333\n"+strings.SplitAfter(string(want), "\n")[1] {
		t.Errorf("below a soft limit of 333: %q", o.Output)
	}
}

// The files that a start itself opens must not count.
func TestNofileNearZero(t *testing.T) {
	for soft := uint64(0); soft <= 3; soft++ {
		adj := 500
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		fd := int(null.Fd())
		c := &Command{
			Args: []string{"/bin/true"}, Stdio: [3]int{fd, fd, fd}, OOMScoreAdj: &adj, Dir: "/",
			Rlimits: []Rlimit{{unix.RLIMIT_NOFILE, soft, soft}},
		}
		p, err := c.Start(patient(t))
		if err != nil {
			t.Errorf("NOFILE %d: %v", soft, err)
			continue
		}
		// The dynamic loader may not open its libraries, so look at the zombie.
		if err := p.(*pidfd.FD).Exited(patient(t)); err != nil {
			t.Error(err)
		}
		if got := oomScoreAdj(t, p.Pid()); got != "500" {
			t.Errorf("NOFILE %d: oom_score_adj is %s", soft, got)
		}
		if got := rlimitOf(t, p.Pid(), unix.RLIMIT_NOFILE); got.Cur != soft || got.Max != soft {
			t.Errorf("NOFILE is %d, want %d", got, soft)
		}
		if _, err := p.Wait(patient(t)); err != nil {
			t.Error(err)
		}
		p.Close()
	}
}

func oomScoreAdj(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestOOMScoreAdj(t *testing.T) {
	own := oomScoreAdj(t, os.Getpid())
	if got := oomScoreAdj(t, live(t, Command{}).Pid()); got != own {
		t.Errorf("the zero Command has %s, this process %s", got, own)
	}
	adj := 1000
	if got := oomScoreAdj(t, live(t, Command{OOMScoreAdj: &adj}).Pid()); got != "1000" {
		t.Errorf("raised to %s", got)
	}
	if got := oomScoreAdj(t, os.Getpid()); got != own {
		t.Errorf("this process now has %s, had %s", got, own)
	}
}

func TestOOMScoreAdjNotPermitted(t *testing.T) {
	requireRoot(t)
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	for adj, want := range map[int]syscall.Errno{-1000: unix.EACCES, 1001: unix.EINVAL} {
		o := startIn(t, attr, &Command{Args: []string{"/bin/true"}, OOMScoreAdj: &adj})
		if o.Errno != want || !strings.HasPrefix(o.Err, fmt.Sprintf("set oom_score_adj to %d", adj)) || o.Exec || len(o.Children) > 0 {
			t.Errorf("%d: %+v, want %v", adj, o, want)
		}
	}
}

func TestIOPriority(t *testing.T) {
	for _, prio := range []int{2<<13 | 7, 2 << 13, 3 << 13} { // best effort 7 and 0, idle
		pid := live(t, Command{IOPriority: &prio}).Pid()
		got, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, uintptr(pid), 0)
		if errno != 0 || int(got) != prio {
			t.Errorf("I/O priority %#x (%v), want %#x", got, errno, prio)
		}
	}
	bad := 7 << 13
	_, err := (&Command{Args: []string{"/bin/true"}, IOPriority: &bad, Stdio: [3]int{0, 1, 2}}).Start(context.Background())
	if err == nil || !strings.HasPrefix(err.Error(), "set I/O priority 0xe000: ") {
		t.Errorf("unknown class: %v", err)
	}
}

func TestScheduler(t *testing.T) {
	tests := []struct {
		name string
		root bool
		want Scheduler
	}{
		{"nice", false, Scheduler{Policy: unix.SCHED_NORMAL, Nice: 7}},
		{"batch", false, Scheduler{Policy: unix.SCHED_BATCH, Nice: 3}},
		{"idle", false, Scheduler{Policy: unix.SCHED_IDLE}},
		{"negative nice", true, Scheduler{Policy: unix.SCHED_NORMAL, Nice: -5}},
		{"fifo", true, Scheduler{Policy: unix.SCHED_FIFO, Priority: 10}},
		{"round robin, reset on fork", true, Scheduler{Policy: unix.SCHED_RR, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK}},
		{"deadline", true, Scheduler{Policy: unix.SCHED_DEADLINE, Runtime: 1e6, Deadline: 1e7, Period: 1e8}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root {
				requireRoot(t)
			}
			a, err := unix.SchedGetAttr(live(t, Command{Scheduler: &tt.want}).Pid(), 0)
			if err != nil {
				t.Fatal(err)
			}
			got := Scheduler{Policy: a.Policy, Flags: a.Flags, Nice: a.Nice, Priority: a.Priority}
			if tt.want.Deadline != 0 { // the others report their slice
				got.Runtime, got.Deadline, got.Period = a.Runtime, a.Deadline, a.Period
			}
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestSchedulerNotPermitted(t *testing.T) {
	requireRoot(t)
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	for _, s := range []*Scheduler{{Policy: unix.SCHED_NORMAL, Nice: -1}, {Policy: unix.SCHED_FIFO, Priority: 1}} {
		o := startIn(t, attr, &Command{Args: []string{"/bin/true"}, Scheduler: s})
		if o.Errno != unix.EPERM || !strings.HasPrefix(o.Err, fmt.Sprintf("set scheduling policy %d: ", s.Policy)) || len(o.Children) > 0 {
			t.Errorf("%+v: %+v", s, o)
		}
	}
}

func TestAffinity(t *testing.T) {
	var own unix.CPUSet
	if err := unix.SchedGetaffinity(0, &own); err != nil {
		t.Fatal(err)
	}
	last := 0
	for cpu := range len(own) * int(unsafe.Sizeof(own[0])) * 8 {
		if own.IsSet(cpu) {
			last = cpu
		}
	}
	mask := make([]uint64, last/64+1)
	mask[last/64] = 1 << (last % 64)
	var only unix.CPUSet
	only.Set(last)
	for _, tt := range []struct {
		mask []uint64
		want unix.CPUSet
	}{{nil, own}, {[]uint64{}, own}, {mask, only}, {append(mask, ^uint64(0)), only}} {
		var got unix.CPUSet
		if len(tt.mask) > len(mask) && len(mask) < 16 {
			continue // the kernel could have a CPU there
		}
		if err := unix.SchedGetaffinity(live(t, Command{Affinity: tt.mask}).Pid(), &got); err != nil || got != tt.want {
			t.Errorf("%x: %v (%v), want %v", tt.mask, got, err, tt.want)
		}
	}
	_, err := (&Command{Args: []string{"/bin/true"}, Affinity: []uint64{0}, Stdio: [3]int{0, 1, 2}}).Start(context.Background())
	if err == nil || !strings.HasPrefix(err.Error(), "set the CPU affinity: ") {
		t.Errorf("no CPU: %v", err)
	}
}
