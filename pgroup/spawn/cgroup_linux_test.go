package spawn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// newCgroup makes a cgroup below this process's own. What is in it when the
// test ends is killed.
func newCgroup(t testing.TB) string {
	t.Helper()
	own, err := ownCgroup()
	require(t, "cgroupfs", err)
	dir, err := os.MkdirTemp(own, "pkshim-spawn-test-")
	require(t, "cgroupfs", err)
	t.Cleanup(func() {
		os.WriteFile(dir+"/cgroup.kill", []byte("1"), 0)
		awaitEmpty(t, dir)
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
	return dir
}

// ownCgroup finds this process's cgroup below a cgroup2 mount, wherever that
// is: /sys/fs/cgroup/unified on a hybrid host.
func ownCgroup() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	_, path, _ := strings.Cut("\n"+string(groups), "\n0::")
	path, _, _ = strings.Cut(path, "\n")
	for line := range strings.Lines(string(mounts)) {
		// proc_pid_mountinfo(5): "… root mountpoint options … - type source …"
		before, after, _ := strings.Cut(line, " - ")
		if f := strings.Fields(before); strings.HasPrefix(after, "cgroup2 ") && len(f) > 4 {
			return filepath.Join(f[4], strings.TrimPrefix(path, f[3])), nil
		}
	}
	return "", errors.New("no cgroup2 is mounted")
}

func openCgroup(t testing.TB, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t testing.TB, name, value string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(value)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func awaitEmpty(t testing.TB, dir string) { awaitLine(t, dir, "populated 0\n") }

// awaitLine returns when cgroup.events of dir has the line.
func awaitLine(t testing.TB, dir, line string) {
	t.Helper()
	fd, err := unix.Open(dir+"/cgroup.events", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return // the cgroup was removed: nothing is in it
	}
	if err == nil {
		defer unix.Close(fd)
		err = awaitEvent(fd, line)
	}
	if err != nil {
		t.Fatalf("%s: %q: %v", dir, line, err)
	}
}

// awaitEvent waits on an open cgroup.events; the kernel notifies a change as
// POLLPRI (cgroups(7)).
func awaitEvent(fd int, line string) error {
	buf := make([]byte, 256)
	for {
		n, err := unix.Pread(fd, buf, 0)
		if err != nil || bytes.Contains(buf[:n], []byte(line)) {
			return err
		}
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}, int(patience.Milliseconds()))
		if n == 0 {
			return errors.Join(err, os.ErrDeadlineExceeded)
		}
	}
}

func TestBornInCgroup(t *testing.T) {
	requireRoot(t)
	dir := newCgroup(t)
	fd := int(openCgroup(t, dir).Fd())
	for name, user := range map[string]*User{"same user": nil, "other user": {UID: nobody, GID: nobody}} {
		code, out := run(t, &Command{Args: []string{"/bin/cat", "/proc/self/cgroup"}, Group: fd, User: user})
		if code != 0 || !strings.Contains("\n"+out, "/"+filepath.Base(dir)+"\n") {
			t.Errorf("%s: code %d, in\n%s", name, code, out)
		}
	}
}

func TestCgroupErrors(t *testing.T) {
	requireRoot(t)
	dir := newCgroup(t)
	group := openCgroup(t, dir)
	unprivileged := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	o := startIn(t, unprivileged, &Command{Args: []string{"/bin/true"}, Group: 3}, group)
	if o.Errno != unix.EACCES || !strings.Contains(o.Err, "inside the cgroup") || o.Exec || len(o.Children) > 0 {
		t.Errorf("no write permission: %+v", o)
	}

	removed := dir + "/removed"
	if err := os.Mkdir(removed, 0o755); err != nil {
		t.Fatal(err)
	}
	gone := openCgroup(t, removed)
	if err := os.Remove(removed); err != nil {
		t.Fatal(err)
	}
	plain := openCgroup(t, t.TempDir())
	for f, want := range map[*os.File][2]error{gone: {unix.ENODEV, unix.ENOENT}, plain: {unix.EBADF}} {
		c := &Command{Args: []string{"/bin/true"}, Group: int(f.Fd()), Stdio: [3]int{0, 1, 2}}
		_, err := c.Start(patient(t))
		var se *StartError
		if !(errors.Is(err, want[0]) || errors.Is(err, want[1])) || !errors.As(err, &se) || se.Exec {
			t.Errorf("%s: %v, want %v", f.Name(), err, want)
		}
	}
}

// frozenStarts starts n processes in a frozen cgroup and returns when all are
// in it, which none of them knows yet.
func frozenStarts(t *testing.T, n int) (dir string, cancel func(), errs <-chan error) {
	t.Helper()
	dir = newCgroup(t)
	write(t, dir+"/cgroup.freeze", "1")
	fd := int(openCgroup(t, dir).Fd())
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	ch := make(chan error, n)
	for range n {
		go func() {
			p, err := (&Command{Args: []string{"/bin/true"}, Group: fd, Stdio: [3]int{0, 1, 2}}).Start(ctx)
			if err == nil {
				p.Close()
			}
			ch <- err
		}()
	}
	awaitLine(t, dir, "populated 1\n")
	return dir, cancel, ch
}

func TestFrozenCgroup(t *testing.T) {
	requireRoot(t)
	dir, cancel, errs := frozenStarts(t, 1)
	runtime.GC() // stops the world, which a parent blocked in vfork would prevent
	select {
	case err := <-errs:
		t.Fatalf("Start returned %v", err)
	default:
	}
	cancel()
	err := <-errs
	var se *StartError
	if !errors.Is(err, context.Canceled) || !errors.As(err, &se) || se.Exec {
		t.Errorf("Start returned %v", err)
	}
	awaitEmpty(t, dir)
	if pids := children(); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
}

// A start that cannot go on must not hold up another one.
func TestStartBesidesFrozen(t *testing.T) {
	requireRoot(t)
	const n = 30
	var others sync.WaitGroup
	for range n {
		others.Go(func() {
			for range 10 {
				p, err := (&Command{Args: []string{"/bin/true"}, Stdio: [3]int{0, 1, 2}}).Start(patient(t))
				if err != nil {
					t.Errorf("Start beside a frozen one: %v", err)
					return
				}
				p.Wait(context.Background())
				p.Close()
			}
		})
	}
	_, cancel, errs := frozenStarts(t, n)
	others.Wait()
	cancel()
	for range n {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("frozen: %v", err)
		}
	}
}

func TestKilledBeforeExec(t *testing.T) {
	requireRoot(t)
	dir, _, errs := frozenStarts(t, 1)
	write(t, dir+"/cgroup.kill", "1")
	err := <-errs
	var se *StartError
	if !errors.Is(err, errKilled) || !errors.As(err, &se) || se.Exec {
		t.Errorf("Start returned %v", err)
	}
	if pids := children(); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
}

func TestThawedStart(t *testing.T) {
	requireRoot(t)
	dir, _, errs := frozenStarts(t, 1)
	write(t, dir+"/cgroup.freeze", "0")
	if err := <-errs; err != nil {
		t.Errorf("Start returned %v", err)
	}
	reapOrphans(t)
	awaitEmpty(t, dir)
}

func TestConcurrentStarts(t *testing.T) {
	dir := newCgroup(t)
	fd := int(openCgroup(t, dir).Fd())
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			c := &Command{Args: []string{"/bin/sh", "-c", fmt.Sprint("exit ", i%256)}, Stdio: [3]int{0, 1, 2}, Group: fd}
			p, err := c.Start(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close()
			if e, err := p.Wait(context.Background()); err != nil || e.Code != i%256 || e.Signal != 0 {
				t.Errorf("start %d: %+v, %v", i, e, err)
			}
		})
	}
	wg.Wait()
	awaitEmpty(t, dir)
}
