package integration

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A report is pkshim's, as a caller reads it.
type report struct {
	ID         string
	Mechanism  string
	Candidates []struct {
		Mechanism, Reason string
		Taken             bool
	}
	Cgroup, Unit          string
	Pid                   *int
	CreatedAt, FinishedAt time.Time
	StartedAt, ExitedAt   *time.Time
	Exit                  exit
	Stats                 *stats
	Leftovers             leftovers
	LimitsFired           struct{ Memory, Pids, CPU *bool }
	Cleanup               struct {
		Empty, Removed bool
		Error          string
	}
	AbruptCleanup string
	Signals       []struct{ Signal, Error string }
	Warnings      []string
	Error         string
}

type exit struct {
	Reason     string
	Code       *int
	Signal     *int
	SignalName string
	CoreDumped bool
	Message    string
}

type leftovers struct {
	Killed    *int
	Processes []struct {
		Pid  int
		Name string
	}
}

type stats struct {
	CPU *struct {
		UsageUsec, UserUsec, SystemUsec, Periods, Throttled, ThrottledUsec *uint64
	}
	Memory *struct {
		Peak   *uint64
		Events *struct{ Low, High, Max, OOM, OOMKill *uint64 }
	}
	Pids *struct{ Peak, Refused *uint64 }
}

// schema is what `pkshim schema report` prints.
var schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	b, err := exec.Command(bin, "schema", "report").Output()
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("report.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("report.json")
})

// runReport reads a report that pkshim wrote; every one that a test sees comes
// through here and is validated.
func runReport(t testing.TB, b []byte) *report {
	t.Helper()
	s, err := schema()
	if err != nil {
		t.Fatalf("the report's schema: %v", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("the report is not JSON: %v\n%s", err, b)
	}
	if err := s.Validate(doc); err != nil {
		t.Errorf("the report is not valid: %v\n%s", err, b)
	}
	r := &report{}
	if err := json.Unmarshal(b, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// sound checks what is true of every run that took place.
func (res *result) sound(t testing.TB, m mechanism) {
	t.Helper()
	r := res.report
	if r == nil {
		t.Fatalf("no report; exit code %d\n%s", res.code, res.stderr)
	}
	if r.Pid == nil || r.StartedAt == nil || r.ExitedAt == nil {
		t.Fatalf("no pid or no time in the report: exit %+v, error %q", r.Exit, r.Error)
	}
	if r.ID != res.id || r.Error != "" {
		t.Errorf("id %q, want %q; error %q", r.ID, res.id, r.Error)
	}
	if m.name != "auto" && r.Mechanism != m.name {
		t.Errorf("mechanism %q, want %q", r.Mechanism, m.name)
	}
	for _, c := range r.Candidates {
		if c.Taken != (c.Mechanism == r.Mechanism) {
			t.Errorf("candidate %+v with mechanism %q", c, r.Mechanism)
		}
	}
	if !r.Cleanup.Empty || !r.Cleanup.Removed || r.Cleanup.Error != "" {
		t.Errorf("cleanup %+v", r.Cleanup)
	}
	if r.AbruptCleanup != "whole_tree" {
		t.Errorf("abruptCleanup %q", r.AbruptCleanup)
	}
	if r.StartedAt.Before(r.CreatedAt) || r.ExitedAt.Before(*r.StartedAt) || r.FinishedAt.Before(*r.ExitedAt) {
		t.Errorf("created %s, started %s, exited %s, finished %s", r.CreatedAt, r.StartedAt, r.ExitedAt, r.FinishedAt)
	}
	if want := r.Exit.shellCode(); res.code != want {
		t.Errorf("exit code %d, but the report says %+v", res.code, r.Exit)
	}
	if r.Leftovers.Killed == nil || len(r.Leftovers.Processes) > *r.Leftovers.Killed {
		t.Errorf("leftovers %+v", r.Leftovers)
	}
}

// shellCode is what pkshim promises to exit with.
func (e exit) shellCode() int {
	switch {
	case e.Reason == "timeout":
		return 124
	case e.Code != nil:
		return *e.Code
	case e.Signal != nil:
		return 128 + *e.Signal
	}
	return 125
}

// exited says that the workload ended by itself with that code.
func (res *result) exited(t testing.TB, code int) {
	t.Helper()
	if e := res.report.Exit; e.Reason != "exited" || e.Code == nil || *e.Code != code || res.code != code {
		t.Errorf("exit code %d, %+v, want %d\n%s", res.code, e, code, res.stderr)
	}
}
