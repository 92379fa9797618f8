package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// callTime bounds one run of pkshim. The emulated processor is slow.
const callTime = 90 * time.Second

// A call is one `pkshim run`.
type call struct {
	mechanism
	flags   []string
	command []string       // after --, unless there is a spec
	spec    map[string]any // a file, if there is one
	env     []string       // beside the test's own
	id      string         // "": a fresh one
	report  string         // where the report goes; "": a file of the test
	// stdin and stdout are passed on as they are. Nil: no input; the output is collected.
	stdin, stdout *os.File
	setup         func(*exec.Cmd)
}

// A running call.
type running struct {
	*exec.Cmd
	t              testing.TB
	call           call
	stdout, stderr bytes.Buffer
	timer          *time.Timer
	late           atomic.Bool
}

// A result is what a call left: the report is nil if pkshim wrote none.
type result struct {
	id             string
	code           int
	stdout, stderr string
	report         *report
}

// session is in every id of this run of the tests, so that what they leave
// behind can be told from what else is on the host.
var session = fmt.Sprintf("it%d", time.Now().UnixNano()/1e6%1e9)

var lastID atomic.Int64

func newID() string { return fmt.Sprintf("%s-%d", session, lastID.Add(1)) }

// start starts pkshim. It is killed, and the test fails, after callTime.
func (c call) start(t testing.TB) *running {
	t.Helper()
	if c.id == "" {
		c.id = newID()
	}
	if c.report == "" {
		c.report = filepath.Join(t.TempDir(), "report")
	}
	flags := slices.Concat([]string{"--id", c.id, "--report", c.report}, c.flags)
	var args []string
	if c.spec != nil {
		args = c.args(slices.Concat(flags, []string{specFile(t, c.spec)})...)
	} else {
		args = c.args(slices.Concat(flags, []string{"--"}, c.command)...)
	}
	r := &running{Cmd: exec.Command(args[0], args[1:]...), t: t, call: c}
	r.Env = append(os.Environ(), c.env...)
	r.Cmd.Stderr = &r.stderr
	r.Cmd.Stdout = &r.stdout
	if c.stdout != nil {
		r.Cmd.Stdout = c.stdout
	}
	if c.stdin != nil {
		r.Cmd.Stdin = c.stdin
	}
	r.WaitDelay = 20 * time.Second // nobody may hold the streams for longer
	if c.setup != nil {
		c.setup(r.Cmd)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	r.timer = time.AfterFunc(callTime, func() {
		r.late.Store(true)
		r.Process.Signal(unix.SIGABRT) // it prints its stacks
		<-time.After(time.Second)
		r.Process.Kill()
	})
	t.Cleanup(func() { // of a test that failed
		if r.timer.Stop(); r.ProcessState == nil {
			r.Process.Kill()
			r.Wait()
		}
	})
	return r
}

func specFile(t testing.TB, spec map[string]any) string {
	b, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "spec.json")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// end waits until pkshim has ended, however it did.
func (r *running) end() *result {
	r.t.Helper()
	err := r.Wait()
	r.timer.Stop()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatalf("%q: %v\n%s", r.Args, err, &r.stderr)
	}
	if r.late.Load() {
		r.t.Fatalf("%q did not end within %s\n%s", r.Args, callTime, &r.stderr)
	}
	res := &result{id: r.call.id, code: r.ProcessState.ExitCode(), stdout: r.stdout.String(), stderr: r.stderr.String()}
	if st, err := os.Stat(r.call.report); err != nil || !st.Mode().IsRegular() { // /dev/full has no end
		return res
	}
	b, err := os.ReadFile(r.call.report)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(b) > 0 {
		res.report = runReport(r.t, b)
	}
	return res
}

// run is a call from start to end.
func (c call) run(t testing.TB) *result {
	t.Helper()
	return c.start(t).end()
}

// ran is a run whose workload ran, whatever came of it, and whose report says
// that all is as it should be.
func (c call) ran(t testing.TB) *result {
	t.Helper()
	return c.start(t).ran()
}

func (r *running) ran() *result {
	r.t.Helper()
	res := r.end()
	res.sound(r.t, r.call.mechanism)
	return res
}

// refused is a run that pkshim could not do: it says why, with each of these
// words, and the workload did not run.
func (c call) refused(t testing.TB, words ...string) *result {
	t.Helper()
	marker := filepath.Join(t.TempDir(), "it ran")
	if c.spec != nil {
		c.spec["process"] = map[string]any{"args": []string{"/usr/bin/touch", marker}, "cwd": "/"}
	} else {
		c.command = []string{"/usr/bin/touch", marker}
	}
	res := c.run(t)
	if res.code != 125 {
		t.Errorf("exit code %d, want 125\n%s", res.code, res.stderr)
	}
	for _, w := range words {
		if !bytes.Contains([]byte(res.stderr), []byte(w)) {
			t.Errorf("the error does not name %q: %s", w, res.stderr)
		}
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("the workload ran")
	}
	if res.report != nil && (res.report.Exit.Reason != "not_started" || res.report.Error == "") {
		t.Errorf("the report says %q, error %q", res.report.Exit.Reason, res.report.Error)
	}
	return res
}

// pipe is a pipe whose ends the test closes.
func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// awaitEOF reads until nobody can write any more, and returns how much came.
func awaitEOF(t testing.TB, r *os.File) int64 {
	t.Helper()
	r.SetReadDeadline(time.Now().Add(callTime))
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		t.Fatalf("a process still holds the pipe: %v", err)
	}
	return n
}
