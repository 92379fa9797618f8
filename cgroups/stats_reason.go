package cgroups

import (
	"errors"
	"io/fs"
	"strings"
)

// reason says why a file gave no number, for people.
func reason(file string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return file + ": no such file" + whyAbsent(file)
	case errors.Is(err, errors.ErrUnsupported):
		if strings.HasSuffix(file, ".pressure") {
			return file + ": not supported (pressure stall information is off: boot with psi=1)"
		}
		return file + ": not supported"
	}
	return file + ": " + err.Error()
}

// whyAbsent gives the causes for which a file of a cgroup that is not the root
// can be absent. https://docs.kernel.org/admin-guide/cgroup-v2.html; the
// versions are those of the commits that added the files.
func whyAbsent(file string) string {
	switch file {
	case "memory.peak":
		return " (memory controller not enabled, or Linux before 5.19)"
	case "memory.swap.current":
		return " (memory controller not enabled, or no swap accounting)"
	case "memory.swap.peak":
		return " (memory controller not enabled, no swap accounting, or Linux before 6.5)"
	case "pids.peak":
		return " (pids controller not enabled, or Linux before 6.1)"
	case "cpu.pressure", "memory.pressure", "io.pressure":
		return " (no pressure stall information: not built in, off for this cgroup, or Linux before 4.20)"
	}
	controller, _, _ := strings.Cut(file, ".")
	return " (" + controller + " controller not enabled)"
}

// absentKey says why a file that is there lacks a key.
func absentKey(file, key string) string {
	why := ""
	switch key {
	case "nr_periods", "nr_throttled", "throttled_usec":
		why = " (cpu controller not enabled, or Linux without CFS_BANDWIDTH)"
	case "oom_group_kill":
		why = " (Linux before 5.17)"
	}
	return file + " has no " + key + why
}
