package runtime

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/spawn"
	"github.com/pkshim/pkshim/spec"
)

func TestMain(m *testing.M) {
	Init() // the mechanisms start helpers from this very binary
	code := m.Run()
	tasks, _ := filepath.Glob("/proc/self/task/*/children") // each thread has its own
	for _, file := range tasks {
		if left, err := os.ReadFile(file); err == nil && len(left) > 0 {
			fmt.Fprintf(os.Stderr, "children are left: %s\n", left)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// need skips a test that needs what this host has not, or fails it if
// PKSHIM_REQUIRE says that the host has it.
func need(t *testing.T, name string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("PKSHIM_REQUIRE"), ","), name) {
		t.Fatalf("%s is required here: %v", name, err)
	}
	t.Skipf("needs %s: %v", name, err)
}

// openFor opens a group of that mechanism without limits.
func openFor(t *testing.T, m spec.Mechanism) *opened {
	t.Helper()
	f := probe()
	o := &Options{ID: "test-" + strconv.FormatUint(rand.Uint64(), 36), Spec: spec.New([]string{"true"})}
	if m == spec.MechanismCgroupfs && f.managed.answer == yes && f.delegated.answer != yes && f.root {
		o.Spec.Linux = &specs.Linux{CgroupsPath: "/pkshim-" + o.ID}
	}
	p, err := newPlan(o, f)
	if err != nil {
		t.Fatal(err)
	}
	try, considered, err := choose(p.wanted(m), f)
	need(t, string(m), err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, g, err := open(ctx, p, try, considered)
	need(t, string(m), err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(g.Kill(), g.Wait(ctx), g.Close(ctx)); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return g
}

// shell starts a script in the group and returns the lines that it prints.
func shell(t *testing.T, g Group, script string) (spawn.Process, *bufio.Scanner) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	t.Cleanup(func() { r.Close() })
	p, err := g.Start(context.Background(), &spawn.Command{
		Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"},
		Stdio: [3]int{0, int(w.Fd()), 2}, ProcessGroup: spawn.NewProcessGroup,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Signal(unix.SIGKILL); err == nil { // not waited for by the test
			if _, err := p.Wait(context.Background()); err != nil && !errors.Is(err, unix.ECHILD) {
				t.Error(err)
			}
		}
		p.Close()
	})
	return p, bufio.NewScanner(r)
}

func line(t *testing.T, s *bufio.Scanner) string {
	t.Helper()
	if !s.Scan() {
		t.Fatalf("the workload said nothing: %v", s.Err())
	}
	return s.Text()
}

// eof waits until every process that had the pipe is gone.
func eof(t *testing.T, s *bufio.Scanner) {
	t.Helper()
	for s.Scan() {
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
}

// TestConformance is what every mechanism must do alike.
func TestConformance(t *testing.T) {
	tests := []struct {
		name string
		test func(*testing.T, *opened)
	}{
		{"exit", conformExit},
		{"escapees are members", conformEscapees},
		{"signal", conformSignal},
		{"kill and wait", conformKill},
		{"close refuses members", conformClose},
		{"two workloads", conformTwo},
		{"start fails", conformStartFails},
		{"stats after the end", conformStats},
	}
	for _, m := range []spec.Mechanism{spec.MechanismCgroupfs, spec.MechanismSystemd, spec.MechanismPgroup} {
		t.Run(string(m), func(t *testing.T) {
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) { tt.test(t, openFor(t, m)) })
			}
		})
	}
}

func conformExit(t *testing.T, g *opened) {
	for script, want := range map[string][2]int{"exit 0": {0, 0}, "exit 255": {255, 0}, "kill -TERM $$": {0, int(unix.SIGTERM)}} {
		p, _ := shell(t, g, script)
		e, err := p.Wait(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]int{e.Code, int(e.Signal)}; got != want {
			t.Errorf("%s: code and signal %v, want %v", script, got, want)
		}
	}
	if err := g.Wait(context.Background()); err != nil {
		t.Error(err)
	}
}

// tree leaves a session leader and a double-forked orphan behind.
const tree = `(setsid sh -c 'echo $$; exec sleep 1000' &) ; (sh -c '(sh -c "echo \$\$; exec sleep 1000" &)' ) ; exit 0`

func conformEscapees(t *testing.T, g *opened) {
	p, out := shell(t, g, tree)
	var want []int
	for range 2 {
		pid, err := strconv.Atoi(line(t, out))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, pid)
	}
	if _, err := p.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	pids, err := g.Pids()
	slices.Sort(want)
	if err != nil || !slices.Equal(pids, want) {
		t.Errorf("members %v (%v), want %v", pids, err, want)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	eof(t, out)
	if err := g.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	if pids, err := g.Pids(); err != nil || len(pids) > 0 {
		t.Errorf("members %v (%v) after the kill", pids, err)
	}
}

func conformSignal(t *testing.T, g *opened) {
	const script = `trap 'echo got; exit 5' USR1; (trap 'echo got; exit 6' USR1; echo up; while :; do sleep 1000 & wait; done) & echo up; while :; do wait; done`
	p, out := shell(t, g, script)
	line(t, out)
	line(t, out)
	if err := g.Signal(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if a, b := line(t, out), line(t, out); a != "got" || b != "got" {
		t.Errorf("%q, %q", a, b)
	}
	if e, err := p.Wait(context.Background()); err != nil || e.Code != 5 {
		t.Errorf("%+v, %v", e, err)
	}
	if err := errors.Join(g.Kill(), g.Wait(context.Background())); err != nil {
		t.Fatal(err)
	}
	if err := g.Signal(unix.SIGUSR1); err != nil {
		t.Errorf("signal an empty group: %v", err)
	}
}

func conformKill(t *testing.T, g *opened) {
	p, out := shell(t, g, `trap '' TERM HUP INT; echo up; while :; do sleep 1000; done`)
	line(t, out)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("wait for a full group with a canceled context: %v", err)
	}
	for range 2 { // idempotent
		if err := g.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if e, err := p.Wait(context.Background()); err != nil || e.Signal != unix.SIGKILL {
		t.Errorf("%+v, %v", e, err)
	}
	if err := g.Wait(context.Background()); err != nil {
		t.Error(err)
	}
	if err := p.Signal(unix.SIGTERM); !errors.Is(err, unix.ESRCH) {
		t.Errorf("signal a process that is gone: %v", err)
	}
}

func conformClose(t *testing.T, g *opened) {
	p, out := shell(t, g, "echo up; exec sleep 1000")
	line(t, out)
	if err := g.Close(context.Background()); err == nil {
		t.Fatal("closed with a member")
	}
	if pids, err := g.Pids(); err != nil || !slices.Equal(pids, []int{p.Pid()}) {
		t.Errorf("members %v (%v), want %d", pids, err, p.Pid())
	}
}

func conformTwo(t *testing.T, g *opened) {
	p1, out1 := shell(t, g, "echo $$; exec sleep 1000")
	p2, out2 := shell(t, g, "echo $$; exec sleep 1000")
	line(t, out1)
	line(t, out2)
	want := []int{p1.Pid(), p2.Pid()}
	slices.Sort(want)
	if pids, err := g.Pids(); err != nil || !slices.Equal(pids, want) {
		t.Errorf("members %v (%v), want %v", pids, err, want)
	}
	if err := p1.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := p1.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	if pids, err := g.Pids(); err != nil || !slices.Equal(pids, []int{p2.Pid()}) {
		t.Errorf("members %v (%v), want %d", pids, err, p2.Pid())
	}
}

func conformStartFails(t *testing.T, g *opened) {
	_, err := g.Start(context.Background(), &spawn.Command{Args: []string{"/nonexistent/program"}, Stdio: [3]int{0, 1, 2}})
	if notFound, ok := isExecFailure(err); !ok || !notFound {
		t.Errorf("a missing program: %v", err)
	}
	_, err = g.Start(context.Background(), &spawn.Command{Args: []string{"/bin/true"}, Dir: "/nonexistent", Stdio: [3]int{0, 1, 2}})
	if _, ok := isExecFailure(err); ok || !errors.Is(err, unix.ENOENT) {
		t.Errorf("a missing directory: %v", err)
	}
	if err := g.Wait(context.Background()); err != nil {
		t.Error(err)
	}
}

func conformStats(t *testing.T, g *opened) {
	p, _ := shell(t, g, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
	if _, err := p.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := g.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	s, err := g.Stats()
	if err != nil || s.CPU == nil || s.CPU.UsageUsec == nil || *s.CPU.UsageUsec == 0 {
		t.Fatalf("CPU time of a workload that has ended: %+v, %v", s, err)
	}
	if s.Sources["cpu.usageUsec"] == "" {
		t.Errorf("no source: %v", s.Sources)
	}
}
