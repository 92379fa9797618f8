package spawn

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain runs the tests and then looks for what they left: descriptors,
// goroutines, processes. The test process is a subreaper, so that an orphan of
// any depth is found among its children.
func TestMain(m *testing.M) {
	text, _ := os.ReadFile("/proc/self/status")
	atStart = parseStatus(string(text))
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "helper:") {
		os.Exit(helper(strings.TrimPrefix(os.Args[1], "helper:"), os.Args[2:]))
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	// What lives for as long as the process: the poller's descriptors, the
	// goroutine of package signal.
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, unix.SIGWINCH)
	signal.Stop(ch)
	fds, goroutines := openFiles(), runtime.NumGoroutine()
	code := m.Run()
	if code == 0 {
		code = leftovers(fds, goroutines)
	}
	os.Exit(code)
}

// atStart is this process's status before the runtime has other threads and
// blocks signals in them now and then.
var atStart map[string]string

func leftovers(fds []string, goroutines int) (code int) {
	if pids := children(); len(pids) > 0 {
		fmt.Fprintln(os.Stderr, "processes are left:", pids)
		code = 1
	}
	if now := openFiles(); len(now) != len(fds) {
		fmt.Fprintf(os.Stderr, "descriptors are left: %q, were %q\n", now, fds)
		code = 1
	}
	// What context.AfterFunc started may still be on its way out.
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(end); {
		runtime.Gosched()
	}
	if runtime.NumGoroutine() > goroutines {
		stacks := make([]byte, 1<<16)
		fmt.Fprintf(os.Stderr, "goroutines are left:\n%s\n", stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	return code
}

// openFiles is what the descriptors of this process refer to.
func openFiles() (files []string) {
	names, _ := filepath.Glob("/proc/self/fd/*")
	for _, name := range names {
		if to, err := os.Readlink(name); err == nil { // all but the directory that was read
			files = append(files, to)
		}
	}
	return files
}

// children are the processes whose parent this one is, zombies included.
func children() (pids []int) {
	names, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range names {
		list, _ := os.ReadFile(name)
		for _, field := range strings.Fields(string(list)) {
			var pid int
			fmt.Sscan(field, &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

// reapOrphans waits for every child there is: a test whose owner process was
// killed calls it when the whole tree is dead or dying.
func reapOrphans(t *testing.T) {
	t.Helper()
	for pids := children(); len(pids) > 0; pids = children() {
		for _, pid := range pids {
			unix.Wait4(pid, nil, 0, nil)
		}
	}
}

// require skips the test if err says that the host lacks the feature, or fails
// it where PKSHIM_REQUIRE names the feature.
func require(t testing.TB, feature string, err error) {
	t.Helper()
	switch {
	case err == nil:
	case slices.Contains(strings.Split(os.Getenv("PKSHIM_REQUIRE"), ","), feature):
		t.Fatalf("%s is required: %v", feature, err)
	default:
		t.Skipf("no %s: %v", feature, err)
	}
}

func requireRoot(t testing.TB) {
	t.Helper()
	var err error
	if os.Geteuid() != 0 {
		err = fmt.Errorf("uid is %d", os.Geteuid())
	}
	require(t, "root", err)
}

// patience bounds a wait for what happens within milliseconds if the code is
// right, on a machine under heavy load.
const patience = time.Minute

func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// live starts c as a process that does nothing and has the test look at it. It
// ends with the test.
func live(t testing.TB, c Command) Process {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if c.Args == nil {
		c.Args = []string{"/bin/cat"}
	}
	c.Stdio = [3]int{int(r.Fd()), int(null.Fd()), int(null.Fd())}
	p, err := c.Start(patient(t))
	if err != nil {
		w.Close()
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		w.Close()
		p.Signal(unix.SIGKILL)
		p.Wait(context.Background())
		p.Close()
	})
	return p
}

// status is /proc/PID/status, its white space made single blanks.
func status(t testing.TB, pid int) map[string]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	return parseStatus(string(text))
}

func parseStatus(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.Join(strings.Fields(value), " ")
	}
	return fields
}
