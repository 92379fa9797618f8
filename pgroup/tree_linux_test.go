package pgroup

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/spawn"
)

// startHelper starts a helper and returns when it has written until.
func startHelper(t testing.TB, g *Group, until byte, name string, args ...string) (spawn.Process, *bufio.Reader) {
	t.Helper()
	r, w := pipe(t)
	cmd := helperCommand(name, args...)
	cmd.Stdio[1] = int(w.Fd())
	p := startIn(t, g, cmd)
	w.Close()
	out := bufio.NewReader(r)
	if text, err := out.ReadString(until); err != nil {
		t.Fatalf("%s said %q, %v", name, text, err)
	}
	return p, out
}

func TestKillTree(t *testing.T) {
	const n = 200
	g := newGroup(t)
	p, out := startHelper(t, g, '\n', "tree", strconv.Itoa(n))
	pids, err := g.Pids()
	if err != nil || len(pids) != n+1 || !slices.IsSorted(pids) || slices.Contains(pids, g.keeper.Pid()) {
		t.Fatalf("%d members, %v", len(pids), err)
	}
	fds := pinAll(t, pids)
	if err := g.Close(t.Context()); !errors.Is(err, unix.EBUSY) {
		t.Errorf("Close with members: %v", err)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	if e, err := p.Wait(t.Context()); err != nil || e.Signal != unix.SIGKILL {
		t.Errorf("exit %+v, %v", e, err)
	}
	if err := g.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := out.ReadByte(); err != io.EOF {
		t.Errorf("a process still holds the output: %v", err)
	}
	waitGone(t, fds)
	if pids, err := g.Pids(); err != nil || len(pids) > 0 {
		t.Errorf("left: %v, %v", pids, err)
	}
	for range 2 { // the group can be used again
		if e, err := startIn(t, g, shell("exit 3")).Wait(t.Context()); err != nil || e.Code != 3 {
			t.Errorf("exit %+v, %v", e, err)
		}
		if err := g.Kill(); err != nil {
			t.Error(err)
		}
	}
}

// Processes that are hard to kill, or to find.
func TestKillHard(t *testing.T) {
	for name, until := range map[string]byte{
		"phoenix": '.', "hopper": '.', "breeder": '.', "traced": '\n', "headless": '\n',
	} {
		t.Run(name, func(t *testing.T) {
			times := 1
			if name == "hopper" {
				times = 10 // there are races to lose
			}
			for range times {
				killHard(t, name, until)
			}
		})
	}
}

func killHard(t *testing.T, name string, until byte) {
	t.Helper()
	g := newGroup(t)
	startHelper(t, g, until, name)
	if pids, err := g.Pids(); err != nil || len(pids) == 0 && name != "hopper" {
		t.Errorf("members %v, %v", pids, err)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := g.Wait(ctx); err != nil {
		t.Fatalf("it lives: %v", err)
	}
}

func TestKillStopped(t *testing.T) {
	g := newGroup(t)
	startHelper(t, g, '\n', "tree", "20")
	for range 2 {
		if err := g.Signal(unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	if pids, err := g.Pids(); err != nil || len(pids) != 21 {
		t.Errorf("members %v, %v", pids, err)
	}
	if err := errors.Join(g.Kill(), g.Wait(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestSignalReachesAll(t *testing.T) {
	const trap = `trap "echo got; exit" USR1; echo ready; read line`
	g := newGroup(t)
	in, _ := pipe(t)
	r, w := pipe(t)
	cmd := shell(`for i in 1 2 3 4 5; do
		sh -c "$1" <&3 & setsid sh -c "$1" <&3 & (sh -c "$1" <&3 &) ; (setsid sh -c "$1" <&3 &)
	done 3<&0; `+trap, trap)
	cmd.Stdio = [3]int{int(in.Fd()), int(w.Fd()), 2}
	startIn(t, g, cmd)
	w.Close()
	out := bufio.NewReader(r)
	for range 21 {
		if line, err := out.ReadString('\n'); line != "ready\n" {
			t.Fatalf("%q, %v", line, err)
		}
	}
	if err := g.Signal(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(out)
	if err != nil || string(rest) != strings.Repeat("got\n", 21) {
		t.Errorf("after the signal: %q, %v", rest, err)
	}
	if err := g.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSignalNobody(t *testing.T) {
	g := newGroup(t)
	if err := errors.Join(g.Signal(unix.SIGTERM), g.Signal(0), g.Kill()); err != nil {
		t.Errorf("an empty group: %v", err)
	}
	for _, bad := range []int{-1, 65} {
		if err := g.Signal(unix.Signal(bad)); !errors.Is(err, unix.EINVAL) {
			t.Errorf("signal %d: %v", bad, err)
		}
	}
}

func TestSignalRefused(t *testing.T) {
	require(t, "root", os.Getuid() == 0)
	program := publicCopy(t, 0o4755)
	g := newGroup(t)
	in, hold := pipe(t)
	r, w := pipe(t)
	cmd := helperCommand("refused", program)
	cmd.Args[0] = publicCopy(t, 0o755)
	cmd.User = &spawn.User{UID: 65534, GID: 65534}
	cmd.Stdio = [3]int{int(in.Fd()), int(w.Fd()), 2}
	startIn(t, g, cmd)
	w.Close()
	in.Close()
	out := bufio.NewScanner(r)
	out.Scan()
	pid := out.Text()
	for _, sig := range []string{"SIGTERM", "SIGKILL"} {
		out.Scan()
		if want := "signal process " + pid + " with " + sig; !strings.Contains(out.Text(), want) || !strings.Contains(out.Text(), "not permitted") {
			t.Errorf("%s: %s", sig, out.Text())
		}
	}
	hold.Close()
	if out.Scan(); out.Text() != "closed" {
		t.Errorf("said %q, %v", out.Text(), out.Err())
	}
}

// publicCopy is this test binary where every user can execute it.
func publicCopy(t *testing.T, mode os.FileMode) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgroup")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	name := dir + "/helper"
	err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(name, program, 0o755), unix.Chmod(name, uint32(mode)))
	if err != nil {
		t.Fatal(err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	require(t, "set-user-ID programs", fs.Flags&unix.ST_NOSUID == 0 || mode&0o4000 == 0)
	return name
}

func TestWaitForOrphan(t *testing.T) {
	g := newGroup(t)
	in, hold := pipe(t)
	cmd := shell("(setsid sh -c 'read line' <&3 &) 3<&0")
	cmd.Stdio[0] = int(in.Fd())
	p := startIn(t, g, cmd)
	in.Close()
	if e, err := p.Wait(t.Context()); err != nil || e.Code != 0 {
		t.Fatalf("exit %+v, %v", e, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() { waited <- g.Wait(ctx) }()
	if pids, err := g.Pids(); err != nil || len(pids) != 1 {
		t.Errorf("members %v, %v; want the orphan", pids, err)
	}
	cancel()
	if err := <-waited; err != context.Canceled {
		t.Errorf("Wait, canceled, with a member: %v", err)
	}
	go func() { waited <- g.Wait(t.Context()) }()
	hold.Close()
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

func TestListers(t *testing.T) {
	g := newGroup(t)
	startHelper(t, g, '\n', "tree", "40")
	want, err := g.Pids()
	if err != nil {
		t.Fatal(err)
	}
	root := g.keeper.Pid()
	for name, l := range map[string]lister{"files": childrenOf, "scan": scanLister(root)} {
		tree := &tree{root: root, children: l, reap: func() {}}
		if got, err := tree.pids(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
	}
	broken := &tree{root: root, reap: func() {}, children: func(int) ([]int, error) { return nil, unix.EACCES }}
	if _, err := broken.pids(); !errors.Is(err, unix.EACCES) {
		t.Errorf("a tree that cannot be read: %v", err)
	}
}

func TestParseStat(t *testing.T) {
	const rest = ") S 7 1 2 0 -1 4194560 1 2 3 4 10 20 3 4 20 0 5 0 12345 1 2 3"
	for _, name := range []string{"sh", "a b", "x) S 1 (y", "\n)", ""} {
		s, err := parseStat("42 (" + name + rest)
		if err != nil || *s != (stat{pid: 42, ppid: 7, state: 'S', threads: 5, start: 12345, user: 13, system: 24}) {
			t.Errorf("%q: %+v, %v", name, s, err)
		}
	}
	for _, bad := range []string{"", "1 (", "1 ()", "1 (x) S 1", "1 (x)" + strings.Repeat(" y", 30), "x (y" + rest, ")(" + rest} {
		if s, err := parseStat(bad); err == nil {
			t.Errorf("%q: %+v", bad, s)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	self, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(self))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseStat(text)
		if (s == nil) != (err != nil) || s != nil && (s.pid < 0 || s.ppid < 0) {
			t.Errorf("%+v and %v", s, err)
		}
	})
}

func TestStats(t *testing.T) {
	g := newGroup(t)
	in, hold := pipe(t)
	r, w := pipe(t)
	cmd := shell(`sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo; read line`)
	cmd.Stdio = [3]int{int(in.Fd()), int(w.Fd()), 2}
	p := startIn(t, g, cmd)
	in.Close()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	living, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	hold.Close()
	e, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if *living.CPU.UsageUsec == 0 || *living.CPU.UsageUsec > *s.CPU.UsageUsec+20_000 {
		t.Errorf("%d µs of processor time, at last %d", *living.CPU.UsageUsec, *s.CPU.UsageUsec)
	}
	if got, want := *s.CPU.UserUsec, uint64(e.UserTime.Microseconds()); got != want {
		t.Errorf("%d µs of user time, the process %d", got, want)
	}
	if (s.Memory.Peak == nil) == (s.Unmeasured["memory.peak"] == "") {
		t.Errorf("peak %v, because %q", s.Memory.Peak, s.Unmeasured["memory.peak"])
	}
	output(t, g, &spawn.Command{Args: []string{"head", "-c", "40M", "/dev/zero"}, Stdio: [3]int{0, 1, 2}})
	output(t, g, shell("dd if=/dev/zero of=/dev/null bs=40M count=1 2>/dev/null"))
	if s, err = g.Stats(); err != nil || s.Memory.Peak == nil || *s.Memory.Peak < 40<<20 {
		t.Errorf("stats %+v, %v", s, err)
	}
}
