package pidfd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
)

func TestContext(t *testing.T) {
	p := start(t)
	if err := p.Exited(canceled()); !errors.Is(err, context.Canceled) {
		t.Errorf("Exited: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error)
	go func() {
		_, err := p.Wait(ctx)
		errs <- err
	}()
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	if err := p.Signal(0); err != nil {
		t.Errorf("the process is gone after a wait that was canceled: %v", err)
	}
}

// A process that is not a child has an end to wait for, but no exit status.
func TestNotAChild(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sh := exec.Command("/bin/sh", "-c", "sleep 600 & echo $!; wait $!; echo; read x")
	sh.Stdout = w
	in, err := sh.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sh.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	defer sh.Wait()
	defer in.Close()
	out := bufio.NewReader(r)
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	p, err := pidfd.Open(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Wait(patient(t)); !errors.Is(err, unix.ECHILD) {
		t.Errorf("Wait: %v", err)
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := p.Exited(patient(t)); err != nil {
		t.Errorf("Exited: %v", err)
	}
	if _, err := out.ReadString('\n'); err != nil { // its parent has reaped it
		t.Error(err)
	}
	if err := p.Exited(patient(t)); err != nil {
		t.Errorf("Exited after the reap: %v", err)
	}
}

// The end of a child that is traced goes to the tracer first.
func TestTracedChild(t *testing.T) {
	p := start(t)
	tracer := exec.Command("/proc/self/exe", "helper:tracer", strconv.Itoa(p.Pid()))
	tracer.Stderr = os.Stderr
	in, err := tracer.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := tracer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tracer.Start(); err != nil {
		t.Fatal(err)
	}
	defer tracer.Wait()
	defer in.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Skipf("ptrace is not permitted: %q, %v", line, err)
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.Exited(patient(t)); err != nil {
		t.Fatal(err)
	}
	if e, err := p.Wait(canceled()); !errors.Is(err, context.Canceled) {
		t.Fatalf("Wait: %+v, %v; the tracer has not waited yet", e, err)
	}
	type result struct {
		e   *pidfd.Exit
		err error
	}
	results := make(chan result)
	go func() {
		e, err := p.Wait(patient(t))
		results <- result{e, err}
	}()
	in.Close() // ends the tracer
	if r := <-results; r.err != nil || r.e.Signal != unix.SIGKILL {
		t.Errorf("%+v, %v", r.e, r.err)
	}
}

// A process has ended when its last thread has.
func TestThreads(t *testing.T) {
	// The kernel's thread-group leader is the first to go.
	const leaderExits = `import ctypes, os, sys, threading
threading.Thread(target=sys.stdin.readline).start()
print(flush=True)
ctypes.CDLL(None).syscall(ctypes.c_long(60), 0)`
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("no python3")
	}
	cmd := exec.Command("python3", "-c", leaderExits)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := pidfd.Open(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	cmd.Process.Release()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := p.Exited(canceled()); !errors.Is(err, context.Canceled) {
		t.Errorf("Exited: %v", err)
	}
	p.Signal(unix.SIGKILL)
	if _, err := p.Wait(patient(t)); err != nil {
		t.Error(err)
	}
	in.Close()
	out.Close()
}

func TestManyWaiters(t *testing.T) {
	const n = 200
	p := start(t)
	threads := count("/proc/self/task/*")
	var waiting, done sync.WaitGroup
	waiting.Add(n)
	for range n {
		done.Go(func() {
			// The first call is over once the poller knows the descriptor.
			if err := p.Exited(canceled()); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			waiting.Done()
			if err := p.Exited(patient(t)); err != nil {
				t.Error(err)
			}
		})
	}
	waiting.Wait()
	if now := count("/proc/self/task/*"); now > threads+n/10 {
		t.Errorf("%d threads for %d waiters, were %d", now, n, threads)
	}
	if err := p.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	done.Wait()
}

// Many who wait for the end and one who reaps do not get in each other's way.
func TestWaitBesideExited(t *testing.T) {
	for range 50 {
		p := start(t)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := p.Exited(patient(t)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			if e, err := p.Wait(patient(t)); err != nil || e.Signal != unix.SIGTERM {
				t.Errorf("%+v, %v", e, err)
			}
		})
		if err := p.Signal(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
	}
}
