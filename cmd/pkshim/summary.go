package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/pkshim/pkshim/spec"
)

// summary is the report for people, a line for the end and one for each thing
// that was measured.
func summary(r *spec.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "pkshim: %s: %s", r.ID, outcome(r))
	if r.StartedAt != nil && r.ExitedAt != nil {
		fmt.Fprintf(&b, " after %s", r.ExitedAt.Sub(*r.StartedAt).Round(time.Millisecond))
	}
	if r.Mechanism != "" {
		fmt.Fprintf(&b, ", held by %s", r.Mechanism)
	}
	b.WriteByte('\n')
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
