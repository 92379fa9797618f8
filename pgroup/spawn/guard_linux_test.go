package spawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
)

// newGuard guards a cgroup that has one live member.
func newGuard(t *testing.T) (*Guard, Process) {
	t.Helper()
	dir := newCgroup(t)
	member := live(t, Command{Group: int(openCgroup(t, dir).Fd())})
	kill, err := os.OpenFile(dir+"/cgroup.kill", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer kill.Close()
	g, err := NewGuard(AtOwnersEnd{Kill: int(kill.Fd())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Dismiss(); err != nil {
			t.Error(err)
		}
	})
	return g, member
}

// awaitChild waits until a child is stopped or continued.
func awaitChild(t *testing.T, pid, options int) {
	t.Helper()
	err := error(unix.EINTR)
	for err == unix.EINTR {
		err = unix.Waitid(unix.P_PID, pid, nil, options, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ended reports whether the process has ended, without waiting.
func ended(t *testing.T, p Process) bool {
	t.Helper()
	n, err := -1, error(unix.EINTR)
	for err == unix.EINTR {
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(p.(*pidfd.FD).File().Fd()), Events: unix.POLLIN}}, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

func TestDismiss(t *testing.T) {
	requireRoot(t)
	g, member := newGuard(t)
	guard := g.Process()
	pid := guard.Pid()
	for range 2 {
		if err := g.Dismiss(); err != nil {
			t.Error(err)
		}
	}
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("the guard is still there: %v", err)
	}
	if ended(t, member) {
		t.Error("the member was killed")
	}
	if err := (*Guard)(nil).Dismiss(); err != nil {
		t.Error(err)
	}
}

func TestGuardIsDeaf(t *testing.T) {
	requireRoot(t)
	g, member := newGuard(t)
	pid := g.Process().Pid()
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		if sig == unix.SIGKILL || sig == unix.SIGSTOP || sig == unix.SIGCONT {
			continue
		}
		if err := unix.Kill(pid, sig); err != nil {
			t.Errorf("signal %d: %v", sig, err)
		}
		if pending, err := g.Pending(sig); !pending || err != nil {
			t.Errorf("signal %d: pending %v, %v", sig, pending, err)
		}
	}
	// A stop interrupts the wait, which must go on after it.
	for _, step := range []struct {
		sig  syscall.Signal
		wait int
	}{{unix.SIGSTOP, unix.WSTOPPED}, {unix.SIGCONT, unix.WCONTINUED}} {
		if err := unix.Kill(pid, step.sig); err != nil {
			t.Fatal(err)
		}
		awaitChild(t, pid, step.wait)
	}
	for state := ""; !strings.HasPrefix(state, "S"); state = status(t, pid)["State"] {
		if ended(t, g.Process()) {
			t.Fatal("the guard has ended")
		}
		runtime.Gosched()
	}
	if ended(t, member) {
		t.Error("the member was killed")
	}
}

func TestGuardHoldsNothing(t *testing.T) {
	requireRoot(t)
	leak, err := unix.Open(os.DevNull, unix.O_RDONLY, 0) // without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	g, _ := newGuard(t)
	anchor, err := NewAnchor(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	bystander, err := NewBystander()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a pipe of the owner is still open: %v", err)
	}

	ownPgrp, ownSession := place(t, os.Getpid())
	for name, tt := range map[string]struct {
		g                  *Guard
		files              []string
		leadsItsOwnSession bool
	}{
		"guard":     {g, []string{"pidfd", "cgroup.kill", "cgroup.kill"}, true},
		"anchor":    {anchor, []string{"pidfd", "socket", "socket"}, true},
		"bystander": {bystander, []string{"pidfd", "pidfd", "pidfd"}, false},
	} {
		pid := tt.g.Process().Pid()
		names, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		slices.Sort(names)
		if err != nil || len(names) != len(tt.files) {
			t.Errorf("%s holds %v (%v)", name, names, err)
			continue
		}
		for i, want := range tt.files {
			if to, err := os.Readlink(names[i]); err != nil || !strings.Contains(to, want) {
				t.Errorf("%s holds %s (%v), want %s", name, to, err, want)
			}
		}
		pgrp, session := place(t, pid)
		if tt.leadsItsOwnSession && (pgrp != pid || session != pid) || !tt.leadsItsOwnSession && (pgrp != ownPgrp || session != ownSession) {
			t.Errorf("%s %d is in process group %d, session %d", name, pid, pgrp, session)
		}
		if s := status(t, pid); s["Name"] != "pkshim-guard" {
			t.Errorf("%s is called %s", name, s["Name"])
		}
	}
	if err := errors.Join(anchor.Dismiss(), bystander.Dismiss()); err != nil {
		t.Error(err)
	}
}

func TestGuardErrors(t *testing.T) {
	for name, do := range map[string]AtOwnersEnd{
		"NUL":                {Args: []string{"a\x00b"}},
		"no such descriptor": {Kill: 1 << 20},
		"no such directory":  {Dir: 1 << 20, Args: []string{"x"}},
	} {
		before := openFiles()
		g, err := NewGuard(do)
		if err == nil {
			err = g.Ready(context.Background())
			g.Dismiss()
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if now := openFiles(); len(now) != len(before) {
			t.Errorf("%s: descriptors are %q, were %q", name, now, before)
		}
	}
}
