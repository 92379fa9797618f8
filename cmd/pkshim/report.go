package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pkshim/pkshim/spec"
)

// A reportFile is where the report goes, opened before the workload starts.
type reportFile struct {
	name string   // as it was given
	temp string   // written first, then renamed; "" if name is written to itself
	f    *os.File // nil: no report
}

// openReport makes sure that there is a place for the report. A regular file
// is replaced at the end, whole; anything else (a pipe, a device) is written to.
func openReport(name string) (*reportFile, error) {
	if name == "" {
		return &reportFile{}, nil
	}
	if name == "-" {
		return &reportFile{name: name, f: os.Stdout}, nil
	}
	if st, err := os.Stat(name); err == nil && !st.Mode().IsRegular() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("--report: %w", err)
		}
		return &reportFile{name: name, f: f}, nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".pkshim-report-*")
	if err != nil {
		return nil, fmt.Errorf("--report %s: %w", name, err)
	}
	return &reportFile{name: name, temp: f.Name(), f: f}, nil
}

// write writes the report. If that cannot be done, the report goes to standard
// error, so that it is not lost.
func (o *reportFile) write(report *spec.Report) error {
	if o.f == nil {
		return nil
	}
	b, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	b = append(b, '\n')
	err = o.finish(b)
	if err != nil {
		if o.temp != "" {
			os.Remove(o.temp)
		}
		note(string(b))
		return fmt.Errorf("write the report to %s: %w (it is above instead)", o.name, err)
	}
	return nil
}

func (o *reportFile) finish(b []byte) error {
	if _, err := o.f.Write(b); err != nil {
		return err
	}
	if o.name == "-" {
		return nil
	}
	if o.temp == "" {
		return o.f.Close()
	}
	if err := o.f.Chmod(0o644 &^ umask()); err != nil {
		return err
	}
	if err := o.f.Close(); err != nil {
		return err
	}
	return os.Rename(o.temp, o.name)
}

// summary is the report for people, a line for the end and one for each thing
// that was measured.
func summary(r *spec.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "pkshim: %s: %s", r.ID, outcome(r))
	if r.StartedAt != nil && r.ExitedAt != nil {
		fmt.Fprintf(&b, " after %s", r.ExitedAt.Sub(*r.StartedAt).Round(time.Millisecond))
	}
	fmt.Fprintf(&b, ", held by %s\n", r.Mechanism)
	if s := r.Stats; s != nil {
		if s.CPU != nil {
			row(&b, "cpu", "used", usec(s.CPU.UsageUsec), "user", usec(s.CPU.UserUsec), "system", usec(s.CPU.SystemUsec), "throttled", usec(s.CPU.ThrottledUsec))
		}
		if s.Memory != nil {
			row(&b, "memory", "peak", size(s.Memory.Peak), "swap peak", size(s.Memory.SwapPeak))
		}
		if s.Pids != nil {
			row(&b, "pids", "peak", count(s.Pids.Peak), "refused", count(s.Pids.Refused))
		}
		if s.IO != nil {
			row(&b, "io", "read", size(s.IO.ReadBytes), "written", size(s.IO.WriteBytes))
		}
	}
	if r.Leftovers.Killed != nil && *r.Leftovers.Killed > 0 {
		fmt.Fprintf(&b, "  leftovers  %d killed\n", *r.Leftovers.Killed)
	}
	return b.String()
}

func outcome(r *spec.Report) string {
	text := strings.ReplaceAll(string(r.Exit.Reason), "_", " ")
	switch {
	case r.Exit.Code != nil:
		text += fmt.Sprintf(", code %d", *r.Exit.Code)
	case r.Exit.Signal != nil:
		text += ", " + r.Exit.SignalName
	}
	return text
}

// row prints the pairs that have a value.
func row(b *strings.Builder, title string, pairs ...string) {
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			parts = append(parts, pairs[i]+" "+pairs[i+1])
		}
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "  %-10s %s\n", title, strings.Join(parts, ", "))
	}
}

func usec(n *uint64) string {
	if n == nil {
		return ""
	}
	return (time.Duration(*n) * time.Microsecond).Round(100 * time.Microsecond).String()
}

func count(n *uint64) string {
	if n == nil {
		return ""
	}
	return fmt.Sprint(*n)
}

func size(n *uint64) string {
	if n == nil {
		return ""
	}
	v, unit := float64(*n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", *n)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}
