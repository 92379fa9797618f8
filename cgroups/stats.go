package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"

	"github.com/pkshim/pkshim/spec"
)

// StatsFrom reads the counters of one cgroup through read, which returns the
// content of a file of that cgroup. The Stats are never nil and always as full
// as they can be. A number that could not be had is nil, with the reason in
// Unmeasured: that a file is absent, or its facility is off (ENOTSUP, as for
// pressure with psi=0), is a fact of the host and no error. The error joins
// every other failure to read and every [ParseError].
//
// Sources and Unmeasured name a pressure as a whole, "pressure.cpu", and the
// devices as "io.devices"; all other numbers by themselves.
func StatsFrom(read func(file string) ([]byte, error)) (*spec.Stats, error) {
	r := &statsReader{read: read, stats: &spec.Stats{
		Sources:    make(map[string]string),
		Unmeasured: make(map[string]string),
	}}
	r.cpu()
	r.memory()
	r.pids()
	r.io()
	r.pressure()
	return r.stats, errors.Join(r.errs...)
}

// A statsReader fills one Stats.
type statsReader struct {
	read  func(file string) ([]byte, error)
	stats *spec.Stats
	gone  bool // the cgroup itself is absent
	errs  []error
}

// A counter is a key of a flat keyed file and the number that it becomes.
type counter struct {
	key, path string
	to        **uint64
}

func (r *statsReader) cpu() {
	s := new(spec.CPUStats)
	if r.flat("cpu.stat",
		counter{"usage_usec", "cpu.usageUsec", &s.UsageUsec},
		counter{"user_usec", "cpu.userUsec", &s.UserUsec},
		counter{"system_usec", "cpu.systemUsec", &s.SystemUsec},
		counter{"nr_periods", "cpu.periods", &s.Periods},
		counter{"nr_throttled", "cpu.throttled", &s.Throttled},
		counter{"throttled_usec", "cpu.throttledUsec", &s.ThrottledUsec},
	) {
		r.stats.CPU = s
		return
	}
	r.wholeSection("cpu", "cpu.usageUsec")
}

func (r *statsReader) memory() {
	s, e := new(spec.MemoryStats), new(spec.MemoryEvents)
	got := r.single("memory.current", "memory.current", &s.Current)
	got = r.single("memory.peak", "memory.peak", &s.Peak) || got
	got = r.single("memory.swap.current", "memory.swapCurrent", &s.SwapCurrent) || got
	got = r.single("memory.swap.peak", "memory.swapPeak", &s.SwapPeak) || got
	if r.flat("memory.events",
		counter{"low", "memory.events.low", &e.Low},
		counter{"high", "memory.events.high", &e.High},
		counter{"max", "memory.events.max", &e.Max},
		counter{"oom", "memory.events.oom", &e.OOM},
		counter{"oom_kill", "memory.events.oomKill", &e.OOMKill},
		counter{"oom_group_kill", "memory.events.oomGroupKill", &e.OOMGroupKill},
	) {
		got, s.Events = true, e
	} else {
		r.wholeSection("memory.events", "memory.events.oomKill")
	}
	if got {
		r.stats.Memory = s
		return
	}
	r.wholeSection("memory", "memory.current")
}

func (r *statsReader) pids() {
	s := new(spec.PidsStats)
	got := r.single("pids.current", "pids.current", &s.Current)
	got = r.single("pids.peak", "pids.peak", &s.Peak) || got
	got = r.flat("pids.events", counter{"max", "pids.refused", &s.Refused}) || got
	if got {
		r.stats.Pids = s
		return
	}
	r.wholeSection("pids", "pids.current")
}

func (r *statsReader) io() {
	const file = "io.stat"
	data, err := r.read(file)
	var s *spec.IOStats
	if err == nil {
		s, err = sumIO(file, data)
	}
	if err != nil {
		r.stats.Unmeasured["io"] = r.why(file, err)
		return
	}
	r.stats.IO = s
	for _, number := range []string{"readBytes", "writeBytes", "reads", "writes", "devices"} {
		r.stats.Sources["io."+number] = file
	}
}

// sumIO adds the devices of io.stat up. A device without counters had no I/O;
// one with some must have all four, else the sum would be a lie.
func sumIO(file string, data []byte) (*spec.IOStats, error) {
	all, err := parseNested(file, data)
	if err != nil {
		return nil, err
	}
	total := spec.IODevice{}
	s := &spec.IOStats{ReadBytes: &total.ReadBytes, WriteBytes: &total.WriteBytes, Reads: &total.Reads, Writes: &total.Writes}
	for _, line := range all {
		if len(line.Values) == 0 {
			continue
		}
		d := spec.IODevice{Device: line.Key}
		for _, n := range []struct {
			key      string
			one, sum *uint64
		}{
			{"rbytes", &d.ReadBytes, &total.ReadBytes},
			{"wbytes", &d.WriteBytes, &total.WriteBytes},
			{"rios", &d.Reads, &total.Reads},
			{"wios", &d.Writes, &total.Writes},
		} {
			value, ok := line.Values[n.key]
			if !ok || value == noLimit {
				return nil, &ParseError{file, 0, fmt.Errorf("device %s has no %s", line.Key, n.key)}
			}
			if value > math.MaxUint64-*n.sum {
				return nil, &ParseError{file, 0, fmt.Errorf("the sum of %s is more than 64 bits", n.key)}
			}
			*n.one = value
			*n.sum += value
		}
		s.Devices = append(s.Devices, d)
	}
	return s, nil
}

func (r *statsReader) pressure() {
	s := new(spec.PressureStats)
	got := r.pressureFile("cpu.pressure", "pressure.cpu", &s.CPU)
	got = r.pressureFile("memory.pressure", "pressure.memory", &s.Memory) || got
	got = r.pressureFile("io.pressure", "pressure.io", &s.IO) || got
	if got {
		r.stats.Pressure = s
		return
	}
	r.wholeSection("pressure", "pressure.cpu")
}

func (r *statsReader) pressureFile(file, path string, to **spec.Pressure) bool {
	data, err := r.read(file)
	var p *spec.Pressure
	if err == nil {
		p, err = parsePressure(file, data)
	}
	if err != nil {
		r.stats.Unmeasured[path] = r.why(file, err)
		return false
	}
	*to = p
	r.stats.Sources[path] = file
	if p.Full == nil {
		r.stats.Unmeasured[path+".full"] = file + " has no line full (Linux before 5.13)"
	}
	return true
}

// single fills a number from a file that has it alone.
func (r *statsReader) single(file, path string, to **uint64) bool {
	data, err := r.read(file)
	var n uint64
	if err == nil {
		n, err = parseSingle(file, data)
	}
	if err == nil && n == noLimit {
		err = &ParseError{file, 0, errors.New("max is not a measurement")}
	}
	if err != nil {
		r.stats.Unmeasured[path] = r.why(file, err)
		return false
	}
	*to = &n
	r.stats.Sources[path] = file
	return true
}

// flat fills numbers from a flat keyed file and tells whether it found any.
func (r *statsReader) flat(file string, counters ...counter) bool {
	data, err := r.read(file)
	var values map[string]uint64
	if err == nil {
		values, err = parseFlat(file, data)
	}
	why := ""
	if err != nil {
		why = r.why(file, err)
	}
	found := false
	for _, c := range counters {
		switch n, ok := values[c.key]; {
		case ok:
			*c.to, found = &n, true
			r.stats.Sources[c.path] = file
		case err != nil:
			r.stats.Unmeasured[c.path] = why
		default:
			r.stats.Unmeasured[c.path] = absentKey(file, c.key)
		}
	}
	return found
}

// why is the reason that a file gave no number, for people. What is not a fact
// of the host becomes part of the error too.
func (r *statsReader) why(file string, err error) string {
	var parse *ParseError
	switch {
	case errors.As(err, &parse):
		r.errs = append(r.errs, err)
		return err.Error()
	case errors.Is(err, fs.ErrNotExist) && file == "cpu.stat":
		// Every cgroup v2 has cpu.stat, whatever is enabled in it. Without
		// this the files of a removed cgroup would be called "not enabled".
		r.gone = true
		r.errs = append(r.errs, fmt.Errorf("read %s: the cgroup is gone: %w", file, err))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
	default:
		r.errs = append(r.errs, fmt.Errorf("read %s: %w", file, err))
	}
	if r.gone && errors.Is(err, fs.ErrNotExist) {
		return file + ": the cgroup is gone"
	}
	return reason(file, err)
}

// wholeSection puts one reason, that of the number first, in place of the
// reasons of a section's numbers, none of which was measured.
func (r *statsReader) wholeSection(section, first string) {
	why := r.stats.Unmeasured[first]
	for path := range r.stats.Unmeasured {
		if path == section || strings.HasPrefix(path, section+".") {
			delete(r.stats.Unmeasured, path)
		}
	}
	r.stats.Unmeasured[section] = why
}

// Fired tells from the counters which limits acted. What was not measured is
// nil, never false.
func Fired(s *spec.Stats) spec.LimitsFired {
	var f spec.LimitsFired
	if s == nil {
		return f
	}
	if m := s.Memory; m != nil && m.Events != nil {
		f.Memory = anyAbove0(m.Events.Max, m.Events.OOM, m.Events.OOMKill)
	}
	if s.Pids != nil {
		f.Pids = anyAbove0(s.Pids.Refused)
	}
	if s.CPU != nil {
		f.CPU = anyAbove0(s.CPU.Throttled)
	}
	return f
}

// anyAbove0 is true if one of the counters is, false if all are known to be 0.
func anyAbove0(counters ...*uint64) *bool {
	fired, known := false, true
	for _, n := range counters {
		fired = fired || (n != nil && *n > 0)
		known = known && n != nil
	}
	if !fired && !known {
		return nil
	}
	return &fired
}
