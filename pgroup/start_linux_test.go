package pgroup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
	"github.com/pkshim/pkshim/pgroup/spawn"
)

func TestExit(t *testing.T) {
	g := newGroup(t)
	tests := []struct {
		script string
		want   pidfd.Exit
	}{
		{"exit 0", pidfd.Exit{}},
		{"exit 1", pidfd.Exit{Code: 1}},
		{"exit 125", pidfd.Exit{Code: 125}},
		{"exit 143", pidfd.Exit{Code: 143}},
		{"exit 255", pidfd.Exit{Code: 255}},
		{"kill -TERM $$", pidfd.Exit{Signal: unix.SIGTERM}},
		{"kill -KILL $$", pidfd.Exit{Signal: unix.SIGKILL}},
		{"ulimit -c 0; kill -QUIT $$", pidfd.Exit{Signal: unix.SIGQUIT}},
	}
	// A core that is piped to a program is dumped whatever the limit (core(5)).
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.script, func(t *testing.T) {
			p := startIn(t, g, shell(tt.script))
			e, err := p.Wait(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := *e
			got.UserTime, got.SystemTime, got.MaxRSS = 0, 0, 0
			got.CoreDumped = got.CoreDumped && !strings.HasPrefix(string(pattern), "|")
			if got != tt.want {
				t.Errorf("exit %+v, want %+v", got, tt.want)
			}
			if again, err := p.Wait(t.Context()); again != e || err != nil {
				t.Errorf("a second Wait: %v, %v", again, err)
			}
		})
	}
}

func TestCoreDumped(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	require(t, "core files", pattern[0] != '|' && pattern[0] != '/')
	cmd := shell("kill -QUIT $$")
	cmd.Dir = t.TempDir()
	cmd.Rlimits = []spawn.Rlimit{{Type: unix.RLIMIT_CORE, Soft: 1 << 30, Hard: 1 << 30}}
	e, err := startIn(t, newGroup(t), cmd).Wait(t.Context())
	if err != nil || e.Signal != unix.SIGQUIT || !e.CoreDumped {
		t.Errorf("exit %+v, %v; want SIGQUIT with a core dump", e, err)
	}
}

// The errors are those that the same command has without a keeper.
func TestStartErrors(t *testing.T) {
	g := newGroup(t)
	file := t.TempDir() + "/plain"
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, cmd := range map[string]*spawn.Command{
		"missing":           {Args: []string{"/nonexistent/x"}},
		"missing in PATH":   {Args: []string{"nonexistent-program"}},
		"not executable":    {Args: []string{file}},
		"missing directory": {Args: []string{"/bin/true"}, Dir: "/nonexistent"},
		"NUL":               {Args: []string{"/bin/true", "a\x00b"}},
		"bad rlimit":        {Args: []string{"/bin/true"}, Rlimits: []spawn.Rlimit{{Type: unix.RLIMIT_NPROC, Soft: 2, Hard: 1}}},
		"process group":     {Args: []string{"/bin/true"}, ProcessGroup: 1},
		"no program":        {},
	} {
		t.Run(name, func(t *testing.T) {
			_, want := cmd.Start(t.Context())
			_, got := g.Start(t.Context(), cmd)
			if want == nil || got == nil || got.Error() != want.Error() {
				t.Fatalf("error %v, without a keeper %v", got, want)
			}
			var ws, gs *spawn.StartError
			if errors.As(want, &ws) != errors.As(got, &gs) || ws != nil && ws.Exec != gs.Exec {
				t.Errorf("error %#v, without a keeper %#v", got, want)
			}
			for _, is := range []error{unix.ENOENT, unix.EACCES, unix.EPERM, unix.EINVAL, os.ErrInvalid} {
				if errors.Is(got, is) != errors.Is(want, is) {
					t.Errorf("errors.Is(%v, %v) is %v", got, is, errors.Is(got, is))
				}
			}
		})
	}
	if pids, err := g.Pids(); err != nil || len(pids) > 0 {
		t.Errorf("left: %v, %v", pids, err)
	}
	if err := g.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStartRefused(t *testing.T) {
	g := newGroup(t)
	cmd := shell("")
	cmd.Group = 3
	if _, err := g.Start(t.Context(), cmd); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("in a cgroup: %v", err)
	}
	cmd = shell("")
	cmd.Stdio[1] = 1 << 20
	var se *spawn.StartError
	if _, err := g.Start(t.Context(), cmd); !errors.Is(err, unix.EBADF) || !errors.As(err, &se) {
		t.Errorf("with a descriptor that is not open: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Start(ctx, shell("")); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := New(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("New, canceled: %v", err)
	}
}

// A process that the owner cannot hold is not left running.
func TestNoRoomForPidfd(t *testing.T) {
	got := output(t, newGroup(t), helperCommand("full"))
	if want := "take over the pidfd of the new process: " + unix.EMFILE.Error() + "\n"; got != want {
		t.Errorf("Start: %q, want %q", got, want)
	}
}

func TestStringsAreBytes(t *testing.T) {
	g := newGroup(t)
	dir := t.TempDir() + "/d\xff"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := shell(`printf %s "$1|$A|"; pwd`, "a\xfe\n")
	cmd.Env, cmd.Dir = []string{"A=\xc3\x28\x01"}, dir
	if got, want := output(t, g, cmd), "a\xfe\n|\xc3\x28\x01|"+dir+"\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
}

func TestLargeEnvironment(t *testing.T) {
	g := newGroup(t)
	const each = 128<<10 - 1 // MAX_ARG_STRLEN of execve(2) with its NUL
	cmd := &spawn.Command{Args: []string{"wc", "-c", "/proc/self/environ"}, Stdio: [3]int{0, 1, 2}}
	for i := range 14 {
		v := fmt.Sprintf("V%d=", i)
		cmd.Env = append(cmd.Env, v+strings.Repeat("\xff", each-len(v)))
	}
	if got, want := output(t, g, cmd), strconv.Itoa(14*128<<10)+" "; !strings.HasPrefix(got, want) {
		t.Errorf("output %q, want %s…", got, want)
	}
	cmd.Stdio[1] = 1
	for range 40 {
		cmd.Env = append(cmd.Env, cmd.Env[0])
	}
	if _, err := g.Start(t.Context(), cmd); !errors.Is(err, unix.E2BIG) {
		t.Errorf("with more than the kernel takes: %v", err)
	}
}

func TestStdio(t *testing.T) {
	g := newGroup(t)
	in, hold := pipe(t)
	r, w := pipe(t)
	want, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(w.Fd())))
	if err != nil {
		t.Fatal(err)
	}
	cmd := shell(`readlink /proc/$$/fd/1; ls /proc/$$/fd; exec >/dev/null; read line`)
	cmd.Stdio = [3]int{int(in.Fd()), int(w.Fd()), 2}
	p := startIn(t, g, cmd)
	w.Close()
	in.Close()
	got, err := io.ReadAll(r) // ends while the workload lives: nothing else holds the pipe
	if err != nil || string(got) != want+"\n0\n1\n2\n" {
		t.Errorf("output %q, %v; want %q", got, err, want)
	}
	hold.Close() // and so its input ends
	if e, err := p.Wait(t.Context()); err != nil || e.Code != 1 {
		t.Errorf("exit %+v, %v", e, err)
	}
}

func TestConcurrentStarts(t *testing.T) {
	g := newGroup(t)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			p, err := g.Start(t.Context(), shell("exit $1", strconv.Itoa(i)))
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close()
			if e, err := p.Wait(t.Context()); err != nil || e.Code != i {
				t.Errorf("exit %+v, %v; want code %d", e, err, i)
			}
		})
	}
	wg.Wait()
	if err := g.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUser(t *testing.T) {
	require(t, "root", os.Getuid() == 0)
	g := newGroup(t)
	cmd := shell("id -u; id -g; id -G")
	cmd.User = &spawn.User{UID: 65534, GID: 65533, Groups: []uint32{65532}}
	if got, want := output(t, g, cmd), "65534\n65533\n65533 65532\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
	cmd = shell("read line")
	r, _ := pipe(t)
	cmd.Stdio[0] = int(r.Fd())
	cmd.User = &spawn.User{UID: 65534, GID: 65534}
	p := startIn(t, g, cmd)
	if err := g.Signal(unix.SIGTERM); err != nil {
		t.Error(err)
	}
	if e, err := p.Wait(t.Context()); err != nil || e.Signal != unix.SIGTERM {
		t.Errorf("exit %+v, %v", e, err)
	}
}

// The workload is in the owner's session and process group, the keeper in one
// of its own.
func TestProcessGroups(t *testing.T) {
	g := newGroup(t)
	script := `read pid comm state ppid pgrp session rest </proc/$$/stat; echo $ppid $pgrp $session`
	own, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := output(t, g, shell(script)), fmt.Sprintln(g.keeper.Pid(), unix.Getpgrp(), own); got != want {
		t.Errorf("parent, process group, session %q, want %q", got, want)
	}
	pgrp, err := unix.Getpgid(g.keeper.Pid())
	if err != nil || pgrp != g.keeper.Pid() {
		t.Errorf("the keeper's process group is %d, %v", pgrp, err)
	}
	cmd := shell(`read pid comm state ppid pgrp rest </proc/$$/stat; [ $pid = $pgrp ]`)
	cmd.ProcessGroup = spawn.NewProcessGroup
	output(t, g, cmd)
}

// What was ignored when the owner was executed is ignored in the workload,
// and nothing else is.
func TestIgnoredSignals(t *testing.T) {
	g := newGroup(t)
	cmd := helperCommand("ignored")
	if got := output(t, g, cmd); got != "0000000000000000\n" {
		t.Errorf("ignored: %s", got)
	}
	exe := cmd.Args[0]
	cmd = shell("trap '' HUP INT TSTP; exec $1", exe)
	cmd.Env = []string{helperVar + "=ignored"}
	if got, want := output(t, g, cmd), fmt.Sprintf("%016x\n", 1<<(unix.SIGHUP-1)|1<<(unix.SIGINT-1)|1<<(unix.SIGTSTP-1)); got != want {
		t.Errorf("ignored: %s, want %s", got, want)
	}
}

func TestInitIsNeeded(t *testing.T) {
	initialized = false
	defer func() { initialized = true }()
	if _, err := New(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("New: %v", err)
	}
}

func BenchmarkTrue(b *testing.B) {
	cmd := &spawn.Command{Args: []string{"/bin/true"}, Stdio: [3]int{0, 1, 2}}
	for b.Loop() {
		g, err := New(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		p, err := g.Start(b.Context(), cmd)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
		p.Close()
		if err := errors.Join(g.Wait(b.Context()), g.Close(b.Context())); err != nil {
			b.Fatal(err)
		}
	}
}
