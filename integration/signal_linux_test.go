package integration

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A trapper is a run of the trap helper.
type trapper struct {
	*running
	input *os.File
	lines *bufio.Scanner
	pid   int // of the workload
}

// trapped starts the helper for these signals and waits until it is there.
// Its standard input is a pipe unless the call has one.
func trapped(t testing.TB, c call, signals ...string) *trapper {
	t.Helper()
	tr := &trapper{}
	if c.stdin == nil {
		c.stdin, tr.input = pipe(t)
	}
	output, out := pipe(t)
	c.command, c.stdout = self("trap", signals...), out
	tr.running, tr.lines = c.start(t), newLines(output)
	c.stdin.Close()
	out.Close()
	if _, err := fmt.Sscanf(tr.line(), "ready %d", &tr.pid); err != nil {
		t.Fatalf("%v\n%s", err, &tr.stderr)
	}
	return tr
}

func (tr *trapper) line() string {
	tr.t.Helper()
	if !tr.lines.Scan() {
		tr.t.Fatalf("the workload said nothing: %v\n%s", tr.lines.Err(), &tr.stderr)
	}
	return tr.lines.Text()
}

func (tr *trapper) want(line string) {
	tr.t.Helper()
	if got := tr.line(); got != line {
		tr.t.Errorf("the workload received %s, want %s", got, line)
	}
}

func (tr *trapper) signal(sig syscall.Signal) {
	tr.t.Helper()
	if err := tr.Process.Signal(sig); err != nil {
		tr.t.Fatal(err)
	}
}

// forwarded checks the report's list.
func (tr *trapper) forwarded(res *result, want ...string) {
	tr.t.Helper()
	var got []string
	for _, s := range res.report.Signals {
		got = append(got, s.Signal)
		if s.Error != "" {
			tr.t.Errorf("%+v", s)
		}
	}
	if !slices.Equal(got, want) {
		tr.t.Errorf("the report has the signals %q, want %q", got, want)
	}
}

// TestSignals: each reaches the workload exactly once; SIGTERM ends the run.
func TestSignals(t *testing.T) {
	each(t, func(t *testing.T, m mechanism) {
		names := []string{"INT", "HUP", "QUIT", "USR1", "USR2", "WINCH"}
		tr := trapped(t, call{mechanism: m}, append(names, "TERM")...)
		var all []string
		for _, name := range names {
			tr.signal(unix.SignalNum("SIG" + name))
			tr.want("SIG" + name)
			all = append(all, "SIG"+name)
		}
		tr.input.Close()
		tr.want("end") // and none a second time
		res := tr.ran()
		res.exited(t, 0)
		tr.forwarded(res, all...)

		tr = trapped(t, call{mechanism: m}, "TERM")
		tr.signal(unix.SIGTERM)
		tr.want("SIGTERM")
		if tr.lines.Scan() {
			t.Errorf("after SIGTERM: %s", tr.lines.Text())
		}
		res = tr.ran()
		if e := res.report.Exit; e.Reason != "canceled" || e.Code == nil || *e.Code != 0 {
			t.Errorf("%+v, want canceled with code 0", e)
		}
		tr.forwarded(res, "SIGTERM")
	})
}

// ignoring makes pkshim start with these signals ignored, as nohup(1) does.
func ignoring(names string) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.Args = append(shell(`trap "" `+names+`; exec "$@"`), cmd.Args...)
		cmd.Path = cmd.Args[0]
	}
}

// TestInheritedDispositions: what was ignored stays ignored, in pkshim and in
// the workload, and nothing else is; no signal is blocked.
func TestInheritedDispositions(t *testing.T) {
	each(t, func(t *testing.T, m mechanism) {
		for _, tt := range []struct{ names, ignored string }{
			{"", "0000000000000000"},
			{"HUP", "0000000000000001"},
			{"HUP INT", "0000000000000003"},
		} {
			c := call{mechanism: m, command: shell("grep -E 'SigIgn|SigBlk' /proc/self/status")}
			if tt.names != "" {
				c.setup = ignoring(tt.names)
			}
			want := "SigBlk:\t0000000000000000\nSigIgn:\t" + tt.ignored + "\n"
			if res := c.ran(t); res.stdout != want {
				t.Errorf("ignored %q:\n%swant\n%s", tt.names, res.stdout, want)
			}
		}
		tr := trapped(t, call{mechanism: m, setup: ignoring("HUP")}, "USR1")
		tr.signal(unix.SIGHUP) // nohup
		tr.signal(unix.SIGUSR1)
		tr.want("SIGUSR1")
		tr.input.Close()
		tr.want("end")
		res := tr.ran()
		res.exited(t, 0)
		tr.forwarded(res, "SIGUSR1")
	})
}

// TestStreams: the workload's streams are the caller's own, and all it has.
func TestStreams(t *testing.T) {
	each(t, func(t *testing.T, m mechanism) {
		in, input := pipe(t)
		output, out := pipe(t)
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		leaked := make([]*os.File, 28) // 3 to 30
		for i := range leaked {
			leaked[i] = null
		}
		script := `for fd in $(seq 0 99); do if [ -e /proc/$$/fd/$fd ]; then printf "$fd " >&2; fi; done
			(stat -L -c %d:%i /proc/$$/fd/0 /proc/$$/fd/1) >&2`
		r := call{
			mechanism: m, command: shell(script), stdin: in, stdout: out,
			setup: func(cmd *exec.Cmd) { cmd.ExtraFiles = leaked },
		}.start(t)
		in.Close()
		out.Close()
		res := r.ran()
		res.exited(t, 0)
		fds, stat := res.stderr[:min(6, len(res.stderr))], res.stderr[min(6, len(res.stderr)):]
		if fds != "0 1 2 " {
			t.Errorf("the workload has the descriptors %s", res.stderr)
		}
		if want := identity(t, input) + identity(t, output); stat != want {
			t.Errorf("the streams are\n%swant\n%s", stat, want)
		}
	})
}

// identity is what stat -c %d:%i prints; both ends of a pipe are one inode.
func identity(t *testing.T, f *os.File) string {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d:%d\n", st.Dev, st.Ino)
}

// newLines reads a workload's output, for so long as a run may take.
func newLines(r *os.File) *bufio.Scanner {
	r.SetReadDeadline(time.Now().Add(callTime))
	return bufio.NewScanner(r)
}
