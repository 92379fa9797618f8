package cgroups

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pkshim/pkshim/spec"
)

// fakeFiles is the content of a cgroup, or the error of reading it.
type fakeFiles map[string]any

func (f fakeFiles) read(file string) ([]byte, error) {
	switch content := f[file].(type) {
	case string:
		return []byte(content), nil
	case error:
		return nil, &fs.PathError{Op: "open", Path: "/cg/" + file, Err: content}
	}
	return nil, &fs.PathError{Op: "open", Path: "/cg/" + file, Err: fs.ErrNotExist}
}

func fullCgroup() fakeFiles {
	return fakeFiles{
		"cpu.stat": cpuStat, "memory.events": memoryEvents, "io.stat": ioStat,
		"memory.current": "1048576\n", "memory.peak": "2097152\n", "memory.swap.current": "4096\n", "memory.swap.peak": "8192\n",
		"pids.current": "3\n", "pids.peak": "17\n", "pids.events": "max 5\n",
		"cpu.pressure": cpuPressure, "memory.pressure": cpuPressure, "io.pressure": cpuPressure,
	}
}

func ptr[T any](v T) *T { return &v }

func TestStatsFrom(t *testing.T) {
	got, err := StatsFrom(fullCgroup().read)
	if err != nil {
		t.Fatal(err)
	}
	pressure := &spec.Pressure{
		Some: &spec.PressureLine{Avg10: 48.02, Avg60: 14.93, Avg300: 6, TotalUsec: 80176688},
		Full: &spec.PressureLine{},
	}
	want := &spec.Stats{
		CPU: &spec.CPUStats{
			UsageUsec: ptr(uint64(766033669)), UserUsec: ptr(uint64(524503351)), SystemUsec: ptr(uint64(241530317)),
			Periods: ptr(uint64(120)), Throttled: ptr(uint64(7)), ThrottledUsec: ptr(uint64(350000)),
		},
		Memory: &spec.MemoryStats{
			Current: ptr(uint64(1048576)), Peak: ptr(uint64(2097152)), SwapCurrent: ptr(uint64(4096)), SwapPeak: ptr(uint64(8192)),
			Events: &spec.MemoryEvents{
				Low: ptr(uint64(0)), High: ptr(uint64(3)), Max: ptr(uint64(1207)),
				OOM: ptr(uint64(2)), OOMKill: ptr(uint64(1)), OOMGroupKill: ptr(uint64(0)),
			},
		},
		Pids: &spec.PidsStats{Current: ptr(uint64(3)), Peak: ptr(uint64(17)), Refused: ptr(uint64(5))},
		IO: &spec.IOStats{
			ReadBytes: ptr(uint64(91889664)), WriteBytes: ptr(uint64(613781504)), Reads: ptr(uint64(9142)), Writes: ptr(uint64(1605)),
			Devices: []spec.IODevice{
				{Device: "8:16", ReadBytes: 1459200, WriteBytes: 314773504, Reads: 192, Writes: 353},
				{Device: "8:0", ReadBytes: 90430464, WriteBytes: 299008000, Reads: 8950, Writes: 1252},
			},
		},
		Pressure:   &spec.PressureStats{CPU: pressure, Memory: pressure, IO: pressure},
		Unmeasured: map[string]string{},
		Sources: map[string]string{
			"cpu.usageUsec": "cpu.stat", "cpu.userUsec": "cpu.stat", "cpu.systemUsec": "cpu.stat",
			"cpu.periods": "cpu.stat", "cpu.throttled": "cpu.stat", "cpu.throttledUsec": "cpu.stat",
			"memory.current": "memory.current", "memory.peak": "memory.peak",
			"memory.swapCurrent": "memory.swap.current", "memory.swapPeak": "memory.swap.peak",
			"memory.events.low": "memory.events", "memory.events.high": "memory.events", "memory.events.max": "memory.events",
			"memory.events.oom": "memory.events", "memory.events.oomKill": "memory.events", "memory.events.oomGroupKill": "memory.events",
			"pids.current": "pids.current", "pids.peak": "pids.peak", "pids.refused": "pids.events",
			"io.readBytes": "io.stat", "io.writeBytes": "io.stat", "io.reads": "io.stat", "io.writes": "io.stat", "io.devices": "io.stat",
			"pressure.cpu": "cpu.pressure", "pressure.memory": "memory.pressure", "pressure.io": "io.pressure",
		},
	}
	if !reflect.DeepEqual(got, want) {
		a, _ := json.MarshalIndent(got, "", " ")
		b, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("got %s\nwant %s", a, b)
	}
}

func TestStatsFromLess(t *testing.T) {
	some, _, _ := strings.Cut(cpuPressure, "full")
	tests := []struct {
		name       string
		change     fakeFiles
		unmeasured map[string]string // path and the beginning of its reason
		errs       []string          // beginnings
	}{
		{"no controller at all", fakeFiles{
			"cpu.stat": "usage_usec 1\nuser_usec 1\nsystem_usec 0\n", "memory.current": nil, "memory.peak": nil, "memory.swap.current": nil,
			"memory.swap.peak": nil, "memory.events": nil, "pids.current": nil, "pids.peak": nil, "pids.events": nil, "io.stat": nil,
		}, map[string]string{
			"cpu.periods":       "cpu.stat has no nr_periods (cpu controller not enabled",
			"cpu.throttled":     "cpu.stat has no nr_throttled (cpu controller not enabled",
			"cpu.throttledUsec": "cpu.stat has no throttled_usec (cpu controller not enabled",
			"memory":            "memory.current: no such file (memory controller not enabled)",
			"pids":              "pids.current: no such file (pids controller not enabled)",
			"io":                "io.stat: no such file (io controller not enabled)",
		}, nil},
		{"Linux 5.10", fakeFiles{
			"memory.peak": nil, "memory.swap.peak": nil, "pids.peak": nil, "cpu.pressure": some,
			"memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n",
		}, map[string]string{
			"memory.peak":                "memory.peak: no such file (memory controller not enabled, or Linux before 5.19)",
			"memory.swapPeak":            "memory.swap.peak: no such file (memory controller not enabled, no swap accounting, or Linux before 6.5)",
			"pids.peak":                  "pids.peak: no such file (pids controller not enabled, or Linux before 6.1)",
			"pressure.cpu.full":          "cpu.pressure has no line full",
			"memory.events.oomGroupKill": "memory.events has no oom_group_kill (Linux before 5.17)",
		}, nil},
		{"pressure is off", fakeFiles{
			"cpu.pressure": errors.ErrUnsupported, "memory.pressure": errors.ErrUnsupported, "io.pressure": errors.ErrUnsupported,
		}, map[string]string{"pressure": "cpu.pressure: not supported (pressure"}, nil},
		{"events are absent", fakeFiles{"memory.events": nil}, map[string]string{
			"memory.events": "memory.events: no such file (memory controller not enabled)"}, nil},
		{"malformed", fakeFiles{"memory.events": "low x\n", "memory.peak": "max\n", "io.stat": "8:0 rbytes=1\n", "cpu.pressure": "x"}, map[string]string{
			"memory.events": "parse memory.events: line 1: low: ",
			"memory.peak":   "parse memory.peak: max is not a measurement",
			"io":            "parse io.stat: device 8:0 has no wbytes",
			"pressure.cpu":  "parse cpu.pressure: line 1: ",
		}, []string{"parse memory.peak: ", "parse memory.events: ", "parse io.stat: ", "parse cpu.pressure: "}},
		{"sum is too large", fakeFiles{"io.stat": "8:0 rbytes=18446744073709551614 wbytes=0 rios=0 wios=0\n8:16 rbytes=2 wbytes=0 rios=0 wios=0\n"}, map[string]string{
			"io": "parse io.stat: the sum of rbytes is more than 64 bits"}, []string{"parse io.stat: "}},
		{"unreadable", fakeFiles{"cpu.stat": fs.ErrPermission, "pids.current": fs.ErrPermission}, map[string]string{
			"cpu": "cpu.stat: open /cg/cpu.stat: permission denied", "pids.current": "pids.current: open /cg/pids.current: permission denied",
		}, []string{"read cpu.stat: open /cg/cpu.stat: permission denied", "read pids.current: "}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			files := fullCgroup()
			maps.Copy(files, test.change)
			got, err := StatsFrom(files.read)
			checkReasons(t, got, test.unmeasured)
			var errs []string
			for err := range joined(err) {
				errs = append(errs, err.Error())
			}
			if !slices.EqualFunc(errs, test.errs, strings.HasPrefix) {
				t.Errorf("errors %q, want %q", errs, test.errs)
			}
			checkComplete(t, got)
		})
	}
}

func TestStatsFromGone(t *testing.T) {
	got, err := StatsFrom(fakeFiles{}.read)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	want := map[string]string{}
	for section, file := range map[string]string{"cpu": "cpu.stat", "memory": "memory.current", "pids": "pids.current", "io": "io.stat", "pressure": "cpu.pressure"} {
		want[section] = file + ": the cgroup is gone"
	}
	checkReasons(t, got, want)
	checkComplete(t, got)
}

func checkReasons(t *testing.T, s *spec.Stats, want map[string]string) {
	t.Helper()
	for path, why := range s.Unmeasured {
		if begin, ok := want[path]; !ok || !strings.HasPrefix(why, begin) {
			t.Errorf("%s is unmeasured: %q, want %q", path, why, begin)
		}
	}
	for path := range want {
		if _, ok := s.Unmeasured[path]; !ok {
			t.Errorf("%s is measured", path)
		}
	}
}

// checkComplete walks the JSON: each number has a source, its own or its
// section's, and each null a reason, its own or its section's.
func checkComplete(t *testing.T, s *spec.Stats) {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	delete(tree, "sources")
	delete(tree, "unmeasured")
	covered := func(by map[string]string, path string) bool {
		for path != "" {
			if by[path] != "" {
				return true
			}
			path = path[:max(strings.LastIndex(path, "."), 0)]
		}
		return false
	}
	var walk func(path string, node any)
	walk = func(path string, node any) {
		switch node := node.(type) {
		case map[string]any:
			for key, child := range node {
				walk(strings.TrimPrefix(path+"."+key, "."), child)
			}
		case nil:
			if !covered(s.Unmeasured, path) {
				t.Errorf("%s is null without a reason", path)
			}
		default:
			if !covered(s.Sources, path) {
				t.Errorf("%s has no source", path)
			}
		}
	}
	walk("", tree)
}

func FuzzStatsFrom(f *testing.F) {
	f.Add([]byte(cpuStat))
	f.Add([]byte(ioStat))
	f.Add([]byte("max\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, _ := StatsFrom(func(string) ([]byte, error) { return data, nil })
		checkComplete(t, s)
		Fired(s)
	})
}

func TestFired(t *testing.T) {
	n := func(v uint64) *uint64 { return &v }
	events := func(max, oom, kill *uint64) *spec.Stats {
		return &spec.Stats{Memory: &spec.MemoryStats{Events: &spec.MemoryEvents{Max: max, OOM: oom, OOMKill: kill}}}
	}
	tests := []struct {
		in   *spec.Stats
		want string // memory, pids, cpu
	}{
		{nil, "? ? ?"},
		{&spec.Stats{}, "? ? ?"},
		{&spec.Stats{Memory: &spec.MemoryStats{}, Pids: &spec.PidsStats{}, CPU: &spec.CPUStats{}}, "? ? ?"},
		{events(n(0), n(0), n(0)), "false ? ?"},
		{events(n(1), n(0), n(0)), "true ? ?"},
		{events(n(0), n(1), n(0)), "true ? ?"},
		{events(nil, nil, n(1)), "true ? ?"},
		{events(n(0), n(0), nil), "? ? ?"},
		{&spec.Stats{Pids: &spec.PidsStats{Refused: n(2)}, CPU: &spec.CPUStats{Throttled: n(0)}}, "? true false"},
		{&spec.Stats{Pids: &spec.PidsStats{Refused: n(0)}, CPU: &spec.CPUStats{Throttled: n(9)}}, "? false true"},
	}
	say := func(b *bool) string {
		if b == nil {
			return "?"
		}
		return fmt.Sprint(*b)
	}
	for i, test := range tests {
		f := Fired(test.in)
		if got := say(f.Memory) + " " + say(f.Pids) + " " + say(f.CPU); got != test.want {
			t.Errorf("%d: got %s, want %s", i, got, test.want)
		}
	}
}
