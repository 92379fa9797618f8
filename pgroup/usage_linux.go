package pgroup

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/spec"
)

// usage is what the keeper knows of the tree's resources.
type usage struct {
	User, System time.Duration
	// Living says that some of it is of processes that have not been reaped.
	Living bool
	// MaxRSS is the largest of all reaped processes, in bytes. A process begins
	// as a copy of the keeper, so that it is not below KeeperRSS.
	MaxRSS, KeeperRSS uint64
}

// userHZ is the unit of times in /proc, 100 on every architecture that Go runs
// on (USER_HZ, time(7)).
const userHZ = 100

// usage sums what the kernel has added up of the reaped processes, the tree's
// own waits included, and what the living ones have used so far. A process
// that dies between the two is missing until it is reaped; none counts twice.
func (k *keeper) usage() (*usage, error) {
	k.reap()
	var children unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &children); err != nil {
		return nil, os.NewSyscallError("getrusage", err)
	}
	members, err := k.tree.members()
	if err != nil {
		return nil, err
	}
	u := &usage{
		User:   time.Duration(children.Utime.Nano()),
		System: time.Duration(children.Stime.Nano()),
		Living: len(members) > 0,
		MaxRSS: uint64(children.Maxrss) * 1024, // getrusage(2): kilobytes
	}
	for _, m := range members {
		u.User += time.Duration(m.user) * time.Second / userHZ
		u.System += time.Duration(m.system) * time.Second / userHZ
	}
	u.KeeperRSS, err = peakRSS()
	return u, err
}

// peakRSS is the most that this process had in memory since it was executed.
func peakRSS() (uint64, error) {
	line, err := statusLine("VmHWM")
	if err != nil {
		return 0, err
	}
	kB, err := strconv.ParseUint(strings.TrimSuffix(line, " kB"), 10, 54)
	if err != nil {
		return 0, fmt.Errorf("/proc/self/status: VmHWM: %w", err)
	}
	return kB * 1024, nil
}

// statusLine is one value of proc_pid_status(5).
func statusLine(key string) (string, error) {
	text, err := readFile("/proc/self/status")
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(text, "\n"+key+":")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line), nil
}

// stats says where each number is from and why the others are not there.
func (u *usage) stats() *spec.Stats {
	user, system := uint64(u.User.Microseconds()), uint64(u.System.Microseconds())
	total := user + system
	source := "getrusage(2) RUSAGE_CHILDREN of the keeper"
	if u.Living {
		source += ", and /proc/PID/stat of the living processes"
	}
	const noCgroup = "no cgroup holds the processes"
	s := &spec.Stats{
		CPU:     &spec.CPUStats{UsageUsec: &total, UserUsec: &user, SystemUsec: &system},
		Sources: map[string]string{"cpu.usageUsec": source, "cpu.userUsec": source, "cpu.systemUsec": source},
		Unmeasured: map[string]string{
			"cpu.periods": noCgroup, "cpu.throttled": noCgroup, "cpu.throttledUsec": noCgroup,
			"memory.current": noCgroup, "memory.swapCurrent": noCgroup, "memory.swapPeak": noCgroup,
			"memory.events": noCgroup, "pids": noCgroup, "io": noCgroup, "pressure": noCgroup,
		},
		Memory: &spec.MemoryStats{},
	}
	switch {
	case u.MaxRSS == 0:
		s.Unmeasured["memory.peak"] = "no process has ended yet"
	case u.MaxRSS <= u.KeeperRSS:
		s.Unmeasured["memory.peak"] = "getrusage(2) ru_maxrss begins with the copy of the keeper that a process is at first, and none was larger"
	default:
		s.Memory.Peak = &u.MaxRSS
		s.Sources["memory.peak"] = "getrusage(2) ru_maxrss: the largest single process"
	}
	return s
}
