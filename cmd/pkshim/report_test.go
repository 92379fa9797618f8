//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pkshim/pkshim/spec"
)

func testReport() *spec.Report {
	code, peak, used, killed := 3, uint64(5<<20), uint64(1_234_000), 2
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ended := started.Add(1500 * time.Millisecond)
	return &spec.Report{
		Version: spec.ReportVersion, ID: "job", Mechanism: spec.MechanismCgroupfs,
		StartedAt: &started, ExitedAt: &ended,
		Exit: spec.ExitStatus{Reason: spec.ReasonExited, Code: &code},
		Stats: &spec.Stats{
			CPU:    &spec.CPUStats{UsageUsec: &used},
			Memory: &spec.MemoryStats{Peak: &peak},
			Pids:   &spec.PidsStats{},
		},
		Leftovers: spec.Leftovers{Killed: &killed},
	}
}

func writeReport(t *testing.T, name string) {
	t.Helper()
	o, err := openReport(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.write(testReport()); err != nil {
		t.Fatal(err)
	}
}

func wantReport(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r spec.Report
	if err := json.Unmarshal(b, &r); err != nil || r.ID != "job" {
		t.Errorf("%s is %q: %v", file, b, err)
	}
}

func wantEntries(t *testing.T, dir string, n int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != n {
		t.Errorf("%s has %v, want %d entries", dir, entries, n)
	}
}

func TestReportFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "report.json")
	o, err := openReport(name)
	if err != nil {
		t.Fatal(err)
	}
	wantEntries(t, dir, 0) // so that a killed pkshim leaves nothing
	if err := o.write(testReport()); err != nil {
		t.Fatal(err)
	}
	wantReport(t, name)
	wantEntries(t, dir, 1)
	st, err := os.Stat(name)
	if err != nil || st.Mode() != 0o644&^umask() {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestReportReplaces(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "report.json")
	if err := os.WriteFile(name, []byte(strings.Repeat("old ", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	writeReport(t, name)
	wantReport(t, name)
	wantEntries(t, dir, 1)
}

// A link stays a link, and what it names is replaced.
func TestReportLink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	writeReport(t, link)
	wantReport(t, target)
	if st, err := os.Lstat(link); err != nil || st.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", st.Mode(), err)
	}
}

// An open file of this process is written to, behind what it has; the name in
// /dev is no file to be replaced.
func TestReportDescriptor(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("output\n"); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("/dev/fd/%d", f.Fd())
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		t.Skip("needs /dev/fd")
	}
	writeReport(t, name)
	b, err := os.ReadFile(f.Name())
	if err != nil || !strings.HasPrefix(string(b), "output\n{") {
		t.Errorf("%q, %v", b, err)
	}
}

func TestReportUnwritable(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{filepath.Join(dir, "absent", "report"), dir, "/dev/absent/report", "/proc/report"} {
		if _, err := openReport(name); err == nil {
			t.Errorf("openReport(%q) has no error", name)
		}
	}
	wantEntries(t, dir, 0)
}

func TestSummary(t *testing.T) {
	want := `pkshim: job: exited, code 3 after 1.5s, held by cgroupfs
  cpu        used 1.234s
  memory     peak 5.0 MiB
  leftovers  2 killed
`
	if got := summary(testReport()); got != want {
		t.Errorf("summary is\n%swant\n%s", got, want)
	}
	r := testReport()
	nine := 9
	r.Exit = spec.ExitStatus{Reason: spec.ReasonIdleTimeout, Signal: &nine, SignalName: "SIGKILL"}
	r.StartedAt, r.Stats, r.Leftovers.Killed = nil, nil, nil
	if got, want := summary(r), "pkshim: job: idle timeout, SIGKILL, held by cgroupfs\n"; got != want {
		t.Errorf("summary is %q, want %q", got, want)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", 1 << 62: "4194304.0 TiB",
	} {
		if got := size(&n); got != want {
			t.Errorf("size of %d is %q, want %q", n, got, want)
		}
	}
	if got := size(nil); got != "" {
		t.Errorf("an unmeasured size is %q", got)
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain é ✓":         "plain é ✓",
		"a\tb":              "a\tb",
		"\x1b[31mred\x1b[m": "\ufffd[31mred\ufffd[m",
		"a\rb\x00\u202e":    "a\ufffdb\ufffd\ufffd",
	} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
	}
}
