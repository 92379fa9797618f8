package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func shell(script string, args ...string) []string {
	return append([]string{"/bin/sh", "-c", script, "sh"}, args...)
}

// TestExitCodes: the workload's exit code is pkshim's, and in the report.
func TestExitCodes(t *testing.T) {
	each(t, func(t *testing.T, m mechanism) {
		start := time.Now()
		call{mechanism: m, command: shell("exit 255")}.ran(t).exited(t, 255)
		n := times(t, 256, time.Since(start), 5*time.Second)
		for i := range n {
			code := i * 255 / (n - 1)
			call{mechanism: m, command: shell(fmt.Sprintf("exit %d", code))}.ran(t).exited(t, code)
		}
	})
}

// TestExitSignals: an end by a signal is not an exit code of that size.
func TestExitSignals(t *testing.T) {
	all := []syscall.Signal{
		unix.SIGKILL, unix.SIGSEGV, unix.SIGTERM, unix.SIGPIPE, unix.SIGINT, unix.SIGABRT, 34, 64, unix.SIGHUP, unix.SIGUSR1,
		unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGBUS, unix.SIGFPE, unix.SIGUSR2, unix.SIGALRM, unix.SIGSTKFLT,
		unix.SIGXCPU, unix.SIGXFSZ, unix.SIGVTALRM, unix.SIGPROF, unix.SIGIO, unix.SIGPWR, unix.SIGSYS,
	}
	each(t, func(t *testing.T, m mechanism) {
		start := time.Now()
		res := call{mechanism: m, command: shell("exit 137")}.ran(t)
		res.exited(t, 137)
		for _, sig := range all[:times(t, len(all), time.Since(start), 3*time.Second)] {
			res := call{mechanism: m, command: shell(fmt.Sprintf("cd /; ulimit -c 0; kill -%d $$", sig))}.ran(t)
			e := res.report.Exit
			if e.Reason != "signaled" || e.Signal == nil || *e.Signal != int(sig) || e.Code != nil {
				t.Errorf("signal %d: %+v", sig, e)
			}
			if name := unix.SignalName(sig); name != "" && e.SignalName != name {
				t.Errorf("signal %d is %q, want %q", sig, e.SignalName, name)
			}
			if res.code != 128+int(sig) {
				t.Errorf("signal %d: exit code %d", sig, res.code)
			}
		}
	})
}

// TestCoreDump: the flag is what the kernel says to any parent.
func TestCoreDump(t *testing.T) {
	each(t, func(t *testing.T, m mechanism) {
		dir := t.TempDir()
		script := shell("cd " + dir + " && ulimit -c unlimited && kill -ABRT $$")
		control := exec.Command(script[0], script[1:]...)
		control.Run()
		want := control.ProcessState.Sys().(syscall.WaitStatus).CoreDump()
		res := call{mechanism: m, command: script}.ran(t)
		if e := res.report.Exit; e.SignalName != "SIGABRT" || e.CoreDumped != want {
			t.Errorf("%+v, want a core dump: %t", e, want)
		}
		t.Logf("core dumped: %t", want)
	})
}

// TestNotStarted: what pkshim could not do is told apart.
func TestNotStarted(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(dir, "absent")
	each(t, func(t *testing.T, m mechanism) {
		for _, tt := range []struct {
			flags   []string
			program string
			code    int
			words   []string
		}{
			{nil, absent, 127, []string{absent}},
			{nil, "no-such-program", 127, []string{"no-such-program"}},
			{nil, plain, 126, []string{plain, "permission denied"}},
			{nil, dir, 126, []string{dir}},
			{nil, plain + "/x", 127, []string{plain + "/x"}},
			{[]string{"--workdir", absent}, "/bin/true", 125, []string{absent, "directory"}},
			{[]string{"--workdir", plain}, "/bin/true", 125, []string{plain, "directory"}},
		} {
			res := call{mechanism: m, flags: tt.flags, command: []string{tt.program}}.run(t)
			if res.code != tt.code {
				t.Errorf("%s %s: exit code %d, want %d", tt.flags, tt.program, res.code, tt.code)
			}
			for _, w := range tt.words {
				if !strings.Contains(res.stderr, w) {
					t.Errorf("%s %s: the error does not name %q: %s", tt.flags, tt.program, w, res.stderr)
				}
			}
			if tt.code == 125 && strings.Contains(res.stderr, "not found") {
				t.Errorf("a directory that is not there reads like a program: %s", res.stderr)
			}
			if r := res.report; r == nil || r.Exit.Reason != "not_started" || r.Pid != nil || r.Error == "" || r.Cleanup.Error != "" {
				t.Errorf("%s %s: report %+v", tt.flags, tt.program, r)
			}
			nothingLeft(t, res.id)
		}
	})
}
