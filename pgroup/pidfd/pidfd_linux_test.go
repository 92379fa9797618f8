package pidfd_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
)

func TestExitCodes(t *testing.T) {
	for code := range 256 {
		e, err := start(t, "/bin/sh", "-c", fmt.Sprint("exit ", code)).Wait(patient(t))
		if err != nil || e.Code != code || e.Signal != 0 || e.CoreDumped {
			t.Errorf("exit %d: %+v, %v", code, e, err)
		}
	}
}

func TestSignals(t *testing.T) {
	harmless := map[syscall.Signal]bool{ // signal(7): ignored, stop or continue by default
		unix.SIGCHLD: true, unix.SIGURG: true, unix.SIGWINCH: true, unix.SIGCONT: true,
		unix.SIGSTOP: true, unix.SIGTSTP: true, unix.SIGTTIN: true, unix.SIGTTOU: true,
	}
	// A core that is piped to a program is dumped whatever the limit (core(5)).
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	mayDump := strings.HasPrefix(string(pattern), "|")
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		if harmless[sig] || sig == 32 || sig == 33 { // the C library's own
			continue
		}
		p := start(t)
		if err := p.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if e, err := p.Wait(patient(t)); err != nil || e.Signal != sig || e.Code != 0 || e.CoreDumped && !mayDump {
			t.Errorf("signal %d: %+v, %v", sig, e, err)
		}
	}
}

// 128+9 as a code is not a kill.
func TestCodeIsNotSignal(t *testing.T) {
	if e, err := start(t, "/bin/sh", "-c", "exit 137").Wait(patient(t)); err != nil || e.Code != 137 || e.Signal != 0 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestCoreDump(t *testing.T) {
	dir := t.TempDir()
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, "/bin/sh", "-c", `cd "$0" && ulimit -c unlimited && kill -QUIT $$`, dir)
	e, err := p.Wait(patient(t))
	if err != nil || e.Signal != unix.SIGQUIT {
		t.Fatalf("%+v, %v: is the hard limit of the core size 0?", e, err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	// A pattern with a slash or pipe puts the core elsewhere, if anywhere.
	if !strings.ContainsAny(string(pattern), "/|") && e.CoreDumped != (len(files) > 0) {
		t.Errorf("CoreDumped %v, but files %v", e.CoreDumped, files)
	}
	if !strings.ContainsAny(string(pattern), "/|") && !e.CoreDumped {
		t.Errorf("no core dump with core_pattern %q", pattern)
	}
}

func TestUsage(t *testing.T) {
	e, err := start(t, "/bin/sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done").Wait(patient(t))
	if err != nil || e.UserTime <= 0 || e.UserTime > patience || e.MaxRSS < 100<<10 || e.MaxRSS > 1<<30 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestSecondWait(t *testing.T) {
	p := start(t)
	if err := p.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(patient(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(patient(t)); !errors.Is(err, unix.ECHILD) {
		t.Errorf("second Wait: %v", err)
	}
	if err := p.Signal(unix.SIGTERM); !errors.Is(err, unix.ESRCH) {
		t.Errorf("Signal after the reap: %v", err)
	}
	if err := p.Exited(patient(t)); err != nil {
		t.Errorf("Exited after the reap: %v", err)
	}
	if q, err := pidfd.Open(p.Pid()); !errors.Is(err, unix.ESRCH) {
		q.Close()
		t.Errorf("Open after the reap: %v", err)
	}
}

func TestZombie(t *testing.T) {
	p := start(t)
	for range 2 { // the second one reaches the zombie
		if err := p.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := p.Exited(patient(t)); err != nil {
			t.Fatal(err)
		}
	}
	late, err := pidfd.Open(p.Pid())
	if err != nil {
		t.Fatalf("open a zombie: %v", err)
	}
	defer late.Close()
	if late.Pid() != p.Pid() {
		t.Errorf("Pid() = %d, want %d", late.Pid(), p.Pid())
	}
	if err := late.Exited(patient(t)); err != nil {
		t.Error(err)
	}
	if e, err := late.Wait(patient(t)); err != nil || e.Signal != unix.SIGKILL {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestOpenErrors(t *testing.T) {
	for pid, want := range map[int]error{1 << 30: unix.ESRCH, 0: unix.EINVAL, -1: unix.EINVAL} {
		p, err := pidfd.Open(pid)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
			t.Errorf("Open(%d): %v, want %v", pid, err, want)
		}
		if err == nil {
			p.Close()
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fd, err := unix.Dup(int(w.Fd()))
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	p, err := pidfd.New(fd, 1) // not a pidfd
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Signal(unix.SIGKILL); !errors.Is(err, unix.EBADF) {
		t.Errorf("Signal: %v", err)
	}
}

func TestClosed(t *testing.T) {
	p := start(t)
	q, err := pidfd.Open(p.Pid())
	if err != nil {
		t.Fatal(err)
	}
	q.Close()
	_, waited := q.Wait(patient(t))
	for name, err := range map[string]error{"Wait": waited, "Exited": q.Exited(patient(t)), "Signal": q.Signal(unix.SIGKILL), "Close": q.Close()} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := p.Signal(0); err != nil {
		t.Errorf("the process was signalled: %v", err)
	}
}
