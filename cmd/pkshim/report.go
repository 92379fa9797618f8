package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pkshim/pkshim/spec"
)

// A reportFile is where the report goes.
type reportFile struct {
	name   string   // as it was given; "": there is no report
	target string   // the regular file that is replaced at the end; "" if stream is written to
	stream *os.File // standard output, a pipe, a device
}

// openReport makes sure, before the workload starts, that there is a place for
// the report. A regular file is replaced at the end, whole, and through a link:
// until then there is no temporary file that a killed pkshim could leave.
// Anything else is written to.
func openReport(name string) (*reportFile, error) {
	switch {
	case name == "":
		return &reportFile{}, nil
	case name == "-":
		return &reportFile{name: name, stream: os.Stdout}, nil
	}
	target, err := regular(name)
	if err == nil && target != "" {
		var f *os.File
		if f, err = createTemp(target); err == nil {
			f.Close()
			err = os.Remove(f.Name())
		}
		return &reportFile{name: name, target: target}, wrapReport(name, err)
	}
	if err != nil {
		return nil, wrapReport(name, err)
	}
	// Appended, since /dev/stdout may be a file with the workload's output in it.
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	return &reportFile{name: name, stream: f}, wrapReport(name, err)
}

func wrapReport(name string, err error) error {
	if err != nil {
		return fmt.Errorf("--report %s: %w", name, err)
	}
	return nil
}

// regular is the regular file that name means, which need not exist yet, or ""
// if it means something else. A name in /dev or /proc may be a link to an open
// file, which is not to be replaced.
func regular(name string) (string, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/") {
		return "", nil
	}
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return "", nil
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path, nil
}

// createTemp makes a file that can be renamed to target.
func createTemp(target string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(target), ".pkshim-report-*")
}

// write writes the report. If that cannot be done, the report goes to standard
// error, so that it is not lost.
func (o *reportFile) write(report *spec.Report) error {
	if o.name == "" {
		return nil
	}
	b, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	b = append(b, '\n')
	if o.target != "" {
		err = replace(o.target, b)
	} else if _, err = o.stream.Write(b); o.name != "-" && err == nil {
		err = o.stream.Close()
	}
	if err != nil {
		note(string(b))
		return fmt.Errorf("write the report to %s: %w (it is above instead)", o.name, err)
	}
	return nil
}

// replace puts a new file with that content in place of target.
func replace(target string, content []byte) (err error) {
	f, err := createTemp(target)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Chmod(0o644 &^ umask()); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), target)
}
