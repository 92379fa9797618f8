package pgroup

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/spawn"
)

func TestMain(m *testing.M) {
	Init()
	if name := os.Getenv(helperVar); name != "" {
		bounded()
		helpers[name]()
		os.Exit(0)
	}
	code := m.Run()
	if left := leftovers(); left != "" {
		fmt.Fprint(os.Stderr, left)
		code = max(code, 1)
	}
	os.Exit(code)
}

// leftovers says what the tests have left in this process.
func leftovers() string {
	var left strings.Builder
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		fmt.Fprintf(&left, "there are children left (wait4: %d, %v)\n", pid, err)
	}
	var stacks strings.Builder
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		stacks.Reset()
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		if !strings.Contains(stacks.String(), "pgroup.(*") && !strings.Contains(stacks.String(), "pidfd.(*") {
			stacks.Reset()
			break
		}
	}
	left.WriteString(stacks.String())
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		fmt.Fprintln(&left, err)
	}
	for _, fd := range fds {
		to, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		if strings.Contains(to, "pidfd") || strings.HasPrefix(to, "socket:") {
			fmt.Fprintf(&left, "descriptor %s is left: %s\n", fd.Name(), to)
		}
	}
	return left.String()
}

// require skips the test where ok is false, unless the feature is demanded.
func require(t *testing.T, feature string, ok bool) {
	t.Helper()
	switch {
	case ok:
	case slices.Contains(strings.Split(os.Getenv("PKSHIM_REQUIRE"), ","), feature):
		t.Fatalf("%s is required and not there", feature)
	default:
		t.Skipf("needs %s", feature)
	}
}

// newGroup is a group that is killed and closed when the test ends.
func newGroup(t testing.TB) *Group {
	t.Helper()
	g, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = g.Kill()
		_ = g.Wait(context.Background())
		_ = g.Close(context.Background())
	})
	return g
}

// shell is a command with the standard files of this process.
func shell(script string, args ...string) *spawn.Command {
	return &spawn.Command{Args: append([]string{"/bin/sh", "-c", script, "sh"}, args...), Stdio: [3]int{0, 1, 2}}
}

func startIn(t testing.TB, g *Group, cmd *spawn.Command) spawn.Process {
	t.Helper()
	p, err := g.Start(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// pipe returns both ends, closed at the end of the test at the latest.
func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// output runs cmd in g with its output in a pipe, to the end of all that
// holds the pipe.
func output(t testing.TB, g *Group, cmd *spawn.Command) string {
	t.Helper()
	r, w := pipe(t)
	cmd.Stdio[1] = int(w.Fd())
	p := startIn(t, g, cmd)
	w.Close()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := p.Wait(t.Context()); err != nil || e.Code != 0 || e.Signal != 0 {
		t.Fatalf("%q: exit %+v, %v; output %q", cmd.Args, e, err, out)
	}
	return string(out)
}

// helperCommand is this test binary as a helper.
func helperCommand(name string, args ...string) *spawn.Command {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return &spawn.Command{Args: append([]string{exe}, args...), Env: []string{helperVar + "=" + name}, Stdio: [3]int{0, 1, 2}}
}

// waitGone waits until each process has ended.
func waitGone(t testing.TB, fds []int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for _, fd := range fds {
		for {
			p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, err := unix.Poll(p, int(time.Until(deadline).Milliseconds()))
			if err == unix.EINTR {
				continue
			}
			if err != nil || n != 1 {
				t.Errorf("a process is still there (%d, %v)", n, err)
			}
			break
		}
	}
}

// pinAll opens processes that are not this one's to open: they must live.
func pinAll(t testing.TB, pids []int) []int {
	t.Helper()
	var fds []int
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatalf("pidfd_open %d: %v", pid, err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		fds = append(fds, fd)
	}
	return fds
}
