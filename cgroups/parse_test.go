package cgroups

import (
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/pkshim/pkshim/spec"
)

// Contents of the files of a real cgroup (Linux 6.18 and 6.1).
const (
	memoryEvents = "low 0\nhigh 3\nmax 1207\noom 2\noom_kill 1\noom_group_kill 0\nsock_throttled 0\n"
	cpuStat      = "usage_usec 766033669\nuser_usec 524503351\nsystem_usec 241530317\nnice_usec 0\n" +
		"core_sched.force_idle_usec 0\nnr_periods 120\nnr_throttled 7\nthrottled_usec 350000\nnr_bursts 0\nburst_usec 0\n"
	ioStat = "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n" +
		"253:10 \n" +
		"8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=50331648 dios=3021\n"
	cpuPressure = "some avg10=48.02 avg60=14.93 avg300=6.00 total=80176688\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
)

func TestParseFlat(t *testing.T) {
	got, err := parseFlat("memory.events", []byte(memoryEvents))
	want := map[string]uint64{"low": 0, "high": 3, "max": 1207, "oom": 2, "oom_kill": 1, "oom_group_kill": 0, "sock_throttled": 0}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := parseFlat("cgroup.events", []byte("populated 1\nfrozen 0\n")); err != nil || got["populated"] != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := parseFlat("pids.events", nil); err != nil || len(got) != 0 {
		t.Errorf("empty: %v, %v", got, err)
	}
	if got, err := parseFlat("cpu.stat", []byte("usage_usec 18446744073709551615")); err != nil || got["usage_usec"] != noLimit {
		t.Errorf("no newline: %v, %v", got, err)
	}
	for _, bad := range []string{
		"max\n", "max \n", "max x\n", "max -1\n", "max +1\n", "max 1.0\n", "max 0x1\n", "max 18446744073709551616\n",
		"max 1 2\n", " 1\n", "\n", "a 1\n\nb 2\n", "max 1\nmax 2\n", "max  1\n", "max 1\r\n", "max 1\x00", "max max\n",
	} {
		got, err := parseFlat("memory.events", []byte(bad))
		var parse *ParseError
		if got != nil || !errors.As(err, &parse) || parse.File != "memory.events" || parse.Line == 0 {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
	_, err = parseFlat("memory.events", []byte("low 0\noom_kill one\n"))
	if want := `parse memory.events: line 2: oom_kill: "one" is not a number of 64 bits`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestParseNested(t *testing.T) {
	tests := []struct {
		in   string
		want []nestedLine
	}{
		{"", nil},
		{"8:16 rbps=2097152 wbps=max riops=max wiops=120\n", []nestedLine{
			{"8:16", map[string]uint64{"rbps": 2097152, "wbps": noLimit, "riops": noLimit, "wiops": 120}}}},
		{ioStat, []nestedLine{
			{"8:16", map[string]uint64{"rbytes": 1459200, "wbytes": 314773504, "rios": 192, "wios": 353, "dbytes": 0, "dios": 0}},
			{"253:10", map[string]uint64{}},
			{"8:0", map[string]uint64{"rbytes": 90430464, "wbytes": 299008000, "rios": 8950, "wios": 1252, "dbytes": 50331648, "dios": 3021}}}},
		// Linux 5.15: the newline behind an idle device is missing.
		{"253:10 253:5 rbytes=0 wbytes=0 rios=0 wios=1 dbytes=0 dios=0\n7:0 ", []nestedLine{
			{"253:10", map[string]uint64{}},
			{"253:5", map[string]uint64{"rbytes": 0, "wbytes": 0, "rios": 0, "wios": 1, "dbytes": 0, "dios": 0}},
			{"7:0", map[string]uint64{}}}},
		{"mlx4_0 hca_handle=2 hca_object=2000\nocrdma1 hca_handle=3 hca_object=max\n", []nestedLine{
			{"mlx4_0", map[string]uint64{"hca_handle": 2, "hca_object": 2000}},
			{"ocrdma1", map[string]uint64{"hca_handle": 3, "hca_object": noLimit}}}},
	}
	for _, test := range tests {
		got, err := parseNested("io.stat", []byte(test.in))
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: got %v, %v", test.in, got, err)
		}
	}
	for _, bad := range []string{"rbytes=1\n", "8:0 rbytes=\n", "8:0 rbytes=-1\n", "8:0 rbytes=1 x\n", "8:0 rbytes=1 rbytes=2\n", "8:0 =1\n", "8:0 rbytes=1 8:16 rbytes=2\n", "8:0 rbytes=a\n"} {
		if got, err := parseNested("io.stat", []byte(bad)); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestParseSingle(t *testing.T) {
	for text, want := range map[string]uint64{"0\n": 0, "268435456\n": 268435456, "max\n": noLimit, "7": 7} {
		if got, err := parseSingle("memory.max", []byte(text)); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "\n", " 1\n", "1 \n", "1\n2\n", "-1\n", "maximum\n", "1K\n", "1\n\n", "99999999999999999999\n"} {
		if got, err := parseSingle("memory.max", []byte(bad)); err == nil {
			t.Errorf("%q: %d", bad, got)
		}
	}
}

func TestParsePressure(t *testing.T) {
	got, err := parsePressure("cpu.pressure", []byte(cpuPressure))
	want := &spec.Pressure{
		Some: &spec.PressureLine{Avg10: 48.02, Avg60: 14.93, Avg300: 6, TotalUsec: 80176688},
		Full: &spec.PressureLine{},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	some, _, _ := strings.Cut(cpuPressure, "full")
	if got, err := parsePressure("cpu.pressure", []byte(some)); err != nil || got.Full != nil || got.Some.TotalUsec != 80176688 {
		t.Errorf("without full: %+v, %v", got, err)
	}
	for _, bad := range []string{
		"", "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
		"some\n", "some avg10=0.00 avg60=0.00 avg300=0.00\n", "some avg10=0.00 avg60=0.00 total=0\n",
		"some avg10=NaN avg60=0.00 avg300=0.00 total=0\n", "some avg10=1e3 avg60=0.00 avg300=0.00 total=0\n",
		"some avg10=-1.00 avg60=0.00 avg300=0.00 total=0\n", "some avg10=0.00 avg10=0.00 avg300=0.00 total=0\n",
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=-1\n", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0 x=1\n",
		some + some, "many avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", "some avg10=1.+2 avg60=0.00 avg300=0.00 total=0\n",
	} {
		if got, err := parsePressure("cpu.pressure", []byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

// fuzzFile runs a parser on any content: it must not panic, and its errors
// must name the file.
func fuzzFile(f *testing.F, seeds []string, parse func(data []byte) error) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := parse(data)
		var parseError *ParseError
		if err != nil && (!errors.As(err, &parseError) || parseError.File == "" || parseError.Err == nil) {
			t.Errorf("%q: %v is not a ParseError", data, err)
		}
	})
}

func FuzzParseFlat(f *testing.F) {
	fuzzFile(f, []string{memoryEvents, cpuStat, "populated 1\nfrozen 0\n", "max 18446744073709551616"}, func(data []byte) error {
		_, err := parseFlat("memory.events", data)
		return err
	})
}

func FuzzParseNested(f *testing.F) {
	fuzzFile(f, []string{ioStat, "253:10 253:5 rbytes=0", "8:16 rbps=max"}, func(data []byte) error {
		_, err := parseNested("io.stat", data)
		return err
	})
}

func FuzzParseSingle(f *testing.F) {
	fuzzFile(f, []string{"max\n", "0\n", "-1"}, func(data []byte) error {
		_, err := parseSingle("memory.max", data)
		return err
	})
}

func FuzzParsePressure(f *testing.F) {
	fuzzFile(f, []string{cpuPressure, "some avg10=NaN", "full"}, func(data []byte) error {
		p, err := parsePressure("cpu.pressure", data)
		if err == nil && p.Some == nil {
			return errors.New("no some")
		}
		return err
	})
}
