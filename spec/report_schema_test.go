package spec

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compileReportSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(ReportSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("report.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func ptr[T any](v T) *T { return &v }

// sampleReport has something in every field.
func sampleReport() *Report {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	n := ptr(uint64(1))
	pressure := &Pressure{Some: &PressureLine{Avg10: 1.5, TotalUsec: 1}}
	return &Report{
		Version: ReportVersion, ID: "pk-1",
		Mechanism:  MechanismSystemd,
		Candidates: []Candidate{{Mechanism: MechanismSystemd, Taken: true, Reason: "the manager is there"}},
		Cgroup:     "/system.slice/pkshim-pk-1.scope/payload", Unit: "pkshim-pk-1.scope", Pid: ptr(4711),
		CreatedAt: at, StartedAt: &at, ExitedAt: &at, FinishedAt: at,
		Exit: ExitStatus{Reason: ReasonSignaled, Signal: ptr(9), SignalName: "SIGKILL", Message: "m"},
		Stats: &Stats{
			CPU:      &CPUStats{UsageUsec: n},
			Memory:   &MemoryStats{Current: n, Events: &MemoryEvents{OOMKill: n}},
			Pids:     &PidsStats{Peak: n},
			IO:       &IOStats{ReadBytes: n, Devices: []IODevice{{Device: "8:0"}}},
			Pressure: &PressureStats{CPU: pressure},
			Sources:  map[string]string{"cpu.usageUsec": "cpu.stat"}, Unmeasured: map[string]string{"cpu.userUsec": "why"},
		},
		Leftovers:     Leftovers{Killed: ptr(1), Processes: []Member{{Pid: 1, Name: "sh"}}},
		LimitsFired:   LimitsFired{Memory: ptr(true)},
		Cleanup:       Cleanup{Empty: true, Removed: true, Error: "e"},
		AbruptCleanup: AbruptWholeTree,
		Signals:       []ForwardedSignal{{Signal: "SIGTERM", At: at, Error: "e"}},
		Warnings:      []string{"w"}, Error: "e",
	}
}

// asDocument is a report as the schema sees it.
func asDocument(t *testing.T, r *Report) map[string]any {
	t.Helper()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any)
}

func TestReportSchemaAccepts(t *testing.T) {
	schema := compileReportSchema(t)
	least := &Report{Version: ReportVersion, ID: "x", Candidates: []Candidate{},
		Exit: ExitStatus{Reason: ReasonNotStarted}, AbruptCleanup: AbruptNone, Error: "no bus"}
	for _, r := range []*Report{sampleReport(), least} {
		if err := schema.Validate(asDocument(t, r)); err != nil {
			t.Error(err)
		}
	}
}

func TestReportSchemaRejects(t *testing.T) {
	schema := compileReportSchema(t)
	tests := []struct {
		name string
		edit func(doc map[string]any)
	}{
		{"another version", func(d map[string]any) { d["version"] = json.Number("2") }},
		{"an unknown property", func(d map[string]any) { d["extra"] = true }},
		{"an unknown number", func(d map[string]any) { d["stats"].(map[string]any)["cpu"].(map[string]any)["x"] = json.Number("1") }},
		{"a missing section", func(d map[string]any) { delete(d, "stats") }},
		{"a missing number", func(d map[string]any) { delete(d["limitsFired"].(map[string]any), "cpu") }},
		{"no candidates", func(d map[string]any) { d["candidates"] = nil }},
		{"auto held nothing", func(d map[string]any) { d["mechanism"] = "auto" }},
		{"a made-up reason", func(d map[string]any) { d["exit"].(map[string]any)["reason"] = "crashed" }},
		{"no promise", func(d map[string]any) { d["abruptCleanup"] = "" }},
		{"a date", func(d map[string]any) { d["createdAt"] = "yesterday" }},
		{"a negative counter", func(d map[string]any) {
			d["stats"].(map[string]any)["pids"].(map[string]any)["peak"] = json.Number("-1")
		}},
		{"exited without a code", func(d map[string]any) { d["exit"].(map[string]any)["reason"] = "exited" }},
		{"signaled without a signal", func(d map[string]any) { d["exit"].(map[string]any)["signal"] = nil }},
		{"unknown with a code", func(d map[string]any) {
			d["exit"] = map[string]any{"reason": "unknown", "code": json.Number("0"), "signal": nil, "coreDumped": false}
		}},
	}
	for _, tt := range tests {
		doc := asDocument(t, sampleReport())
		tt.edit(doc)
		if schema.Validate(doc) == nil {
			t.Errorf("%s is accepted", tt.name)
		}
	}
}

// The schema has the properties of the Go types, no more and no fewer, and
// requires those that are always written.
func TestReportSchemaMatchesTypes(t *testing.T) {
	type object struct {
		Properties           map[string]any
		Required             []string
		AdditionalProperties any
	}
	var schema struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	if err := json.Unmarshal(ReportSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	types := map[string]reflect.Type{}
	structs(reflect.TypeFor[Report](), types)
	for name, typ := range types {
		o := schema.object
		if name != "Report" {
			o = schema.Defs[name]
		}
		var all, required []string
		for _, p := range propertiesOf(typ) {
			all = append(all, p.name)
			if p.required {
				required = append(required, p.name)
			}
		}
		var named []string
		for p := range o.Properties {
			named = append(named, p)
		}
		for _, s := range [][]string{all, required, named, o.Required} {
			slices.Sort(s)
		}
		if !slices.Equal(all, named) || !slices.Equal(required, o.Required) || o.AdditionalProperties != false {
			t.Errorf("%s: the type has %v (%v always), the schema %v (%v required, additional %v)",
				name, all, required, named, o.Required, o.AdditionalProperties)
		}
		delete(schema.Defs, name)
	}
	for name, o := range schema.Defs {
		if o.Properties != nil {
			t.Errorf("%s is no type of a report", name)
		}
	}
}

// structs collects the struct types of this package that a type is made of.
func structs(t reflect.Type, into map[string]reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		structs(t.Elem(), into)
	case reflect.Struct:
		if !strings.HasSuffix(t.PkgPath(), "/spec") {
			return
		}
		into[t.Name()] = t
		for i := range t.NumField() {
			structs(t.Field(i).Type, into)
		}
	}
}

func TestShellCode(t *testing.T) {
	tests := []struct {
		exit ExitStatus
		want int
	}{
		{ExitStatus{Reason: ReasonExited, Code: ptr(3)}, 3},
		{ExitStatus{Reason: ReasonSignaled, Signal: ptr(9)}, 137},
		{ExitStatus{Reason: ReasonOOM, Signal: ptr(9)}, 137},
		{ExitStatus{Reason: ReasonTimeout, Signal: ptr(15)}, CodeTimeout},
		{ExitStatus{Reason: ReasonIdleTimeout, Code: ptr(0)}, CodeTimeout},
		{ExitStatus{Reason: ReasonCanceled, Signal: ptr(15)}, 143},
		{ExitStatus{Reason: ReasonUnknown}, CodeCannot},
		{ExitStatus{Reason: ReasonNotStarted}, CodeCannot},
	}
	for _, tt := range tests {
		if got := tt.exit.ShellCode(); got != tt.want {
			t.Errorf("%+v: %d, want %d", tt.exit, got, tt.want)
		}
	}
}
