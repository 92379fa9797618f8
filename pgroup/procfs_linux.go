package pgroup

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// stat is what /proc/PID/stat says, as far as it matters here (proc_pid_stat(5)).
type stat struct {
	pid, ppid int
	state     byte
	threads   int
	start     uint64 // clock ticks since boot: with pid it names a process
	// user and system are clock ticks, with the children it has waited for.
	user, system uint64
}

// alive reports whether the process runs or could. A process whose first
// thread has ended while others go on has state Z as a dead one has, and more
// than one thread.
func (s *stat) alive() bool {
	return s.state != 'Z' && s.state != 'X' || s.threads > 1
}

var errStat = errors.New("not in the format of proc_pid_stat(5)")

// parseStat parses the content of a stat file. The name of the program, in
// parentheses, may contain anything, parentheses and newlines included.
func parseStat(text string) (*stat, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return nil, errStat
	}
	f := strings.Fields(text[end+1:]) // from field 3 on
	const fields = 22 - 2
	if len(f) < fields || len(f[0]) != 1 {
		return nil, errStat
	}
	s := &stat{state: f[0][0]}
	var err error
	number := func(text string) uint64 {
		n, e := strconv.ParseUint(text, 10, 63)
		err = errors.Join(err, e)
		return n
	}
	s.pid, s.ppid = int(number(strings.TrimSpace(text[:open]))), int(number(f[4-3]))
	s.user, s.system = number(f[14-3])+number(f[16-3]), number(f[15-3])+number(f[17-3])
	s.threads, s.start = int(number(f[20-3])), number(f[22-3])
	if err != nil {
		return nil, err
	}
	return s, nil
}

// readStat returns nil if there is no such process.
func readStat(pid int) (*stat, error) {
	name := "/proc/" + strconv.Itoa(pid) + "/stat"
	text, err := readFile(name)
	if vanished(err) {
		return nil, hidden(pid, name)
	}
	if err != nil {
		return nil, err
	}
	s, err := parseStat(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// hidden tells a process that is gone from one whose directory a /proc mounted
// with hidepid=2 does not show.
func hidden(pid int, name string) error {
	if err := unix.Kill(pid, 0); err == unix.ESRCH {
		return nil
	}
	if _, err := readFile(name); vanished(err) && unix.Kill(pid, 0) != unix.ESRCH {
		return fmt.Errorf("process %d is there and %s is not: is /proc mounted with hidepid? %w", pid, name, unix.EPERM)
	}
	return nil // gone in between, its number perhaps taken again
}

// A lister returns the children of a process, none if it is gone.
type lister func(pid int) ([]int, error)

// newLister picks what the kernel has. CONFIG_PROC_CHILDREN is Linux 4.2.
func newLister() (lister, error) {
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return nil, fmt.Errorf("/proc is not that of this PID namespace: %w", errors.Join(err, unix.ENOENT))
	}
	_, err := os.Stat("/proc/thread-self/children")
	switch {
	case errors.Is(err, os.ErrNotExist):
		return scanLister(os.Getpid()), nil
	case err != nil:
		return nil, err
	}
	return childrenOf, nil
}

// childrenOf reads the files where the kernel lists the children that each
// thread made or was given. A list of living children can miss one if another
// ends while it is read (proc_pid_tid_children(5)).
func childrenOf(pid int) ([]int, error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, err := readDir(dir)
	if vanished(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, thread := range threads {
		name := dir + "/" + thread + "/children"
		text, err := readFile(name)
		if vanished(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for field := range strings.FieldsSeq(text) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			pids = append(pids, child)
		}
	}
	return pids, nil
}

// scanLister reads all of /proc each time it is asked for root's children and
// answers for the others from that.
func scanLister(root int) lister {
	var children map[int][]int
	return func(pid int) ([]int, error) {
		if pid != root {
			return children[pid], nil
		}
		names, err := readDir("/proc")
		if err != nil {
			return nil, err
		}
		children = map[int][]int{}
		for _, name := range names {
			pid, err := strconv.Atoi(name)
			if err != nil {
				continue // not a process
			}
			s, err := readStat(pid)
			if err != nil {
				return nil, err
			}
			if s != nil {
				children[s.ppid] = append(children[s.ppid], pid)
			}
		}
		return children[root], nil
	}
}

// vanished reports whether err says that the process is gone. An open file of
// /proc answers ESRCH then.
func vanished(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
}
