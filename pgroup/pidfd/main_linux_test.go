package pidfd_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
)

// TestMain runs the tests and then looks for what they left: descriptors,
// goroutines, processes. The test process is a subreaper, so that an orphan of
// any depth is found among its children.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "helper:tracer" {
		os.Exit(trace(os.Args[2]))
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	if r, w, err := os.Pipe(); err == nil { // the poller's own descriptors
		r.Close()
		w.Close()
	}
	fds, goroutines := count("/proc/self/fd/*"), runtime.NumGoroutine()
	code := m.Run()
	if now := count("/proc/self/fd/*"); code == 0 && now != fds {
		fmt.Fprintf(os.Stderr, "there are %d descriptors, were %d\n", now, fds)
		code = 1
	}
	if pids := children(); code == 0 && len(pids) > 0 {
		fmt.Fprintln(os.Stderr, "processes are left:", pids)
		code = 1
	}
	// What context.AfterFunc started may still be on its way out.
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(end); {
		runtime.Gosched()
	}
	if now := runtime.NumGoroutine(); code == 0 && now > goroutines {
		fmt.Fprintf(os.Stderr, "there are %d goroutines, were %d\n", now, goroutines)
		code = 1
	}
	os.Exit(code)
}

func count(pattern string) int {
	names, _ := filepath.Glob(pattern)
	return len(names)
}

func children() (pids []string) {
	names, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range names {
		list, _ := os.ReadFile(name)
		pids = append(pids, strings.Fields(string(list))...)
	}
	return pids
}

// trace is a debugger of process pid until its standard input ends.
func trace(pid string) int {
	runtime.LockOSThread()
	n, err := strconv.Atoi(pid)
	if err == nil {
		err = unix.PtraceSeize(n)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("attached")
	bufio.NewReader(os.Stdin).ReadString('\n')
	return 0
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

// canceled has the outcome of a wait that was not over at once.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// start starts a child, which only the test waits for. Without arguments it
// does nothing until it gets a signal.
func start(t testing.TB, args ...string) *pidfd.FD {
	t.Helper()
	if len(args) == 0 {
		args = []string{"/bin/sleep", "600"}
	}
	cmd := exec.Command(args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := pidfd.Open(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Process.Release()
	t.Cleanup(func() {
		p.Signal(unix.SIGKILL)
		p.Wait(context.Background())
		p.Close()
	})
	return p
}
