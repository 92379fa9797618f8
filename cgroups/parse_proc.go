package cgroups

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

// parseMembership reads /proc/PID/cgroup and returns the path in cgroup v2,
// the line "0::PATH". deleted says that the cgroup was removed while the
// process, by then a zombie, was in it; ok is false where there is no v2 line,
// as on a host with cgroup v1 alone. See cgroups(7), "/proc files".
//
// A path above the reader's cgroup namespace begins with "/..".
func parseMembership(data []byte) (cgroup string, deleted, ok bool, err error) {
	const file = "/proc/PID/cgroup"
	for n, line := range lines(data) {
		hierarchy, rest, _ := strings.Cut(line, ":")
		controllers, name, colons := strings.Cut(rest, ":")
		if !colons {
			return "", false, false, &ParseError{file, n, fmt.Errorf("%q is not HIERARCHY:CONTROLLERS:PATH", line)}
		}
		if hierarchy != "0" || controllers != "" {
			continue
		}
		name, deleted = strings.CutSuffix(name, " (deleted)")
		if !strings.HasPrefix(name, "/") {
			return "", false, false, &ParseError{file, n, fmt.Errorf("%q is not an absolute path", name)}
		}
		return name, deleted, true, nil
	}
	return "", false, false, nil
}

// A Mount is a place where cgroup v2 is mounted.
type Mount struct {
	Point      string // where, "/sys/fs/cgroup"
	Root       string // what part of the hierarchy, "/" for all that the namespace sees
	ReadOnly   bool   // the mount or the file system is
	NSDelegate bool   // cgroup namespaces are delegation boundaries

	id, parent int // mount IDs
}

// Dir is the directory of a cgroup in this mount, given its path as
// /proc/PID/cgroup spells it; ok is false if the mount does not show it.
func (m Mount) Dir(cgroup string) (dir string, ok bool) {
	below, ok := strings.CutPrefix(cgroup, strings.TrimSuffix(m.Root, "/"))
	if !ok || (below != "" && below[0] != '/') || strings.HasPrefix(below+"/", "/../") {
		return "", false
	}
	return path.Join(m.Point, below), true
}

// ErrNoMount says that cgroup v2 is mounted nowhere that is of use.
var ErrNoMount = errors.New("cgroup v2 is not mounted")

// FindMount finds cgroup v2 in /proc/self/mountinfo (proc_pid_mountinfo(5)).
// Of several mounts it takes one that shows the cgroup own (if that is not
// empty), then one of the whole hierarchy, one that is writable, the usual
// places /sys/fs/cgroup and, on a hybrid host, /sys/fs/cgroup/unified, and the
// first. A mount that another one covers does not count. The error is
// [ErrNoMount], or a [ParseError].
func FindMount(mountinfo io.Reader, own string) (Mount, error) {
	data, err := io.ReadAll(mountinfo)
	if err != nil {
		return Mount{}, fmt.Errorf("read mountinfo: %w", err)
	}
	var all, found []Mount
	for n, line := range lines(data) {
		m, cgroup2, err := parseMount(line)
		if err != nil {
			return Mount{}, &ParseError{"mountinfo", n, err}
		}
		all = append(all, m)
		if cgroup2 {
			found = append(found, m)
		}
	}
	best, bestScore := Mount{}, -1
	for _, m := range found {
		score := m.score(own)
		if score > bestScore && visible(m, all) {
			best, bestScore = m, score
		}
	}
	if bestScore < 0 {
		return Mount{}, ErrNoMount
	}
	return best, nil
}

// score ranks a mount by FindMount's criteria, the weightiest in the highest bit.
func (m Mount) score(own string) int {
	score := 0
	for _, holds := range []bool{
		own != "" && m.shows(own),
		m.Root == "/",
		!m.ReadOnly,
		m.Point == "/sys/fs/cgroup",
		m.Point == "/sys/fs/cgroup/unified",
	} {
		score <<= 1
		if holds {
			score |= 1
		}
	}
	return score
}

func (m Mount) shows(cgroup string) bool {
	_, ok := m.Dir(cgroup)
	return ok
}

// visible tells whether a path lookup of m's point ends in m: nothing is
// mounted on top of it, nor on a directory between it and its parent mount, nor
// so for that parent, up to the root.
func visible(m Mount, all []Mount) bool {
	for _, other := range all {
		if other.id != m.id && other.parent == m.id && other.Point == m.Point {
			return false
		}
	}
	for range all { // the way to the root is no longer
		parent := -1
		for i, other := range all {
			switch {
			case other.id == m.id:
			case other.id == m.parent:
				parent = i
			case other.parent == m.parent && other.Point != m.Point &&
				strings.HasPrefix(m.Point, strings.TrimSuffix(other.Point, "/")+"/"):
				return false
			}
		}
		if parent < 0 {
			break // the mount that this process has as its root
		}
		m = all[parent]
	}
	return true
}

// parseMount reads one line of mountinfo:
//
//	31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
func parseMount(line string) (m Mount, cgroup2 bool, err error) {
	before, after, ok := strings.Cut(line, " - ")
	fields, rest := strings.Split(before, " "), strings.Split(after, " ")
	if !ok || len(fields) < 6 || len(rest) < 3 {
		return m, false, fmt.Errorf("%q is not a mount", line)
	}
	if m.id, err = strconv.Atoi(fields[0]); err == nil {
		m.parent, err = strconv.Atoi(fields[1])
	}
	if err != nil {
		return m, false, err
	}
	m.Root, m.Point = unescapeMount(fields[3]), unescapeMount(fields[4])
	options := strings.Split(rest[len(rest)-1], ",")
	for _, option := range append(strings.Split(fields[5], ","), options...) {
		m.ReadOnly = m.ReadOnly || option == "ro"
		m.NSDelegate = m.NSDelegate || option == "nsdelegate"
	}
	return m, rest[0] == "cgroup2", nil
}

// unescapeMount undoes the kernel's octal escapes of blank, tab, newline,
// backslash and # (seq_path, mangle_path).
func unescapeMount(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
