package spawn

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnlyStdio(t *testing.T) {
	for range 300 {
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY, 0) // without close-on-exec
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	// The shell has opened nothing itself by then.
	if code, out := run(t, &Command{Args: []string{"/bin/sh", "-c", "ls /proc/$$/fd; :"}}); code != 0 || out != "0\n1\n2\n" {
		t.Errorf("code %d, the program has the descriptors %q", code, out)
	}
}

// Each of the three may come from any of the three, or from beyond.
func TestStdioPermutations(t *testing.T) {
	dir := t.TempDir()
	var saved [3]int
	var paths [4]string
	sources := [4]int{0, 1, 2}
	for i := range paths {
		paths[i] = fmt.Sprintf("%s/%d", dir, i)
		f, err := os.Create(paths[i])
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if i == 3 {
			sources[3] = int(f.Fd())
			break
		}
		if saved[i], err = unix.FcntlInt(uintptr(i), unix.F_DUPFD_CLOEXEC, 10); err != nil {
			t.Fatal(err)
		}
		if err := unix.Dup3(int(f.Fd()), i, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer func() {
			unix.Dup3(saved[i], i, 0)
			unix.Close(saved[i])
		}()
	}
	for n := range 4 * 4 * 4 {
		from := [3]int{n % 4, n / 4 % 4, n / 16}
		c := &Command{Args: []string{"/bin/sleep", "600"}}
		for i := range c.Stdio {
			c.Stdio[i] = sources[from[i]]
		}
		given := c.Stdio
		p, err := c.Start(patient(t))
		if err != nil {
			t.Errorf("from %v: %v", from, err)
			continue
		}
		for i := range from {
			to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", p.Pid(), i))
			if err != nil || to != paths[from[i]] {
				t.Errorf("from %v: descriptor %d is %s (%v)", from, i, to, err)
			}
		}
		if c.Stdio != given {
			t.Errorf("Start changed Stdio from %v to %v", given, c.Stdio)
		}
		p.Signal(unix.SIGKILL)
		p.Wait(patient(t))
		p.Close()
	}
}

func TestSignalState(t *testing.T) {
	s := status(t, live(t, Command{}).Pid())
	for _, field := range []string{"SigBlk", "SigIgn"} {
		if s[field] != atStart[field] {
			t.Errorf("%s %s, this process was started with %s", field, s[field], atStart[field])
		}
	}
	if s["SigCgt"] != "0000000000000000" || s["ShdPnd"] != "0000000000000000" {
		t.Errorf("cat catches %s and has %s pending", s["SigCgt"], s["ShdPnd"])
	}
}

func TestSignalMask(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, old unix.Sigset_t
	set.Val[0] = 1<<(unix.SIGUSR1-1) | 1<<(unix.SIGTERM-1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old); err != nil {
		t.Fatal(err)
	}
	p := live(t, Command{})
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
		t.Fatal(err)
	}
	if s := status(t, p.Pid()); s["SigBlk"] != fmt.Sprintf("%016x", set.Val[0]) {
		t.Errorf("SigBlk %s, the starting thread had %x", s["SigBlk"], set.Val[0])
	}
}

// What this process ignores the child ignores; what it catches is default.
func TestIgnoredSignals(t *testing.T) {
	const hup, quit = 1 << (unix.SIGHUP - 1), 1 << (unix.SIGQUIT - 1)
	cat := &Command{Args: []string{"/bin/cat", "/proc/self/status"}}
	below := &Command{Args: []string{"/proc/self/exe", "helper:start", asJSON(t, cat)}, Env: []string{quickExit}}
	for name, tt := range map[string]struct {
		c    *Command
		want uint64
	}{
		"ignored":   {cat, hup | quit},
		"inherited": {below, hup}, // Go leaves HUP and INT as they were
	} {
		o := startInCmd(t, exec.Command("/proc/self/exe", "helper:ignore", asJSON(t, tt.c)), nil)
		if s := parseStatus(o.Output); s["SigIgn"] != fmt.Sprintf("%016x", tt.want) {
			t.Errorf("%s: SigIgn %s, want %x", name, s["SigIgn"], tt.want)
		}
	}
}

// place is the process group and session of a process, from /proc/PID/stat.
func place(t testing.TB, pid int) (pgrp, session int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	var state string
	var ppid int
	_, rest, _ := strings.Cut(string(text), ") ")
	if _, err := fmt.Sscan(rest, &state, &ppid, &pgrp, &session); err != nil {
		t.Fatal(err)
	}
	return pgrp, session
}

func TestProcessGroup(t *testing.T) {
	own, session := place(t, os.Getpid())
	leader := live(t, Command{ProcessGroup: NewProcessGroup}).Pid()
	for name, tt := range map[string]struct{ got, want int }{
		"own":  {live(t, Command{}).Pid(), own},
		"new":  {leader, leader},
		"join": {live(t, Command{ProcessGroup: leader}).Pid(), leader},
	} {
		if pgrp, s := place(t, tt.got); pgrp != tt.want || s != session {
			t.Errorf("%s: process group %d in session %d, want %d in %d", name, pgrp, s, tt.want, session)
		}
	}
	foreign := startOwner(t, &syscall.SysProcAttr{Setsid: true}, "helper:bystander")
	c := &Command{Args: []string{"/bin/true"}, ProcessGroup: foreign.pid, Stdio: [3]int{0, 1, 2}}
	if _, err := c.Start(patient(t)); err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("join process group %d: ", foreign.pid)) {
		t.Errorf("group of another session: %v", err)
	}
	foreign.in.Close() // dismisses the bystander
	foreign.Wait()
}
