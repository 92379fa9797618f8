package cgroups

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// maxUnitName is systemd's UNIT_NAME_MAX without the terminating NUL, which is
// also what a directory's name can have (NAME_MAX).
const maxUnitName = 255

// UnitName is the name of the scope for a container: "PREFIX-ID.scope", or
// "ID.scope" without a prefix. What systemd does not take in a name becomes
// \xNN, as systemd-escape spells it; hyphens stay, so that people find
// pkshim-my-job.scope. The backslash itself, which systemd takes, is escaped
// too: two IDs never get one name.
func UnitName(prefix, id string) (string, error) {
	if id == "" {
		return "", errors.New("unit name: empty ID")
	}
	if err := printable(prefix + id); err != nil {
		return "", fmt.Errorf("unit name of %q: %w", id, err)
	}
	name := id
	if prefix != "" {
		name = prefix + "-" + id
	}
	name = escapeUnit(name) + ".scope"
	if len(name) > maxUnitName {
		return "", fmt.Errorf("unit name of %q: %d bytes are more than systemd's %d", id, len(name), maxUnitName)
	}
	return name, nil
}

// escapeUnit escapes all that is not valid in a unit's name (VALID_CHARS in
// systemd's src/basic/unit-name.c), '@', which makes a template's instance and
// is refused for a scope, '\\', and a leading dot, which hides the cgroup.
func escapeUnit(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if c := name[i]; c == '\\' || !unitByte(c) || (i == 0 && c == '.') {
			fmt.Fprintf(&b, `\x%02x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unitByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte(`:-_.\`, c) >= 0
}

// A Path is linux.cgroupsPath, in one of its two spellings.
type Path struct {
	Systemd bool // "slice:prefix:name", else a path

	Slice  string // "system.slice"; "" for the manager's default
	Prefix string // "" for none
	Name   string // not empty; as it was given

	Dir string // clean; absolute is below the mount, relative below the caller's place
}

// ParsePath reads linux.cgroupsPath: "/path", "path" or systemd's
// "slice:prefix:name", as runc, crun and containerd spell it. A relative path
// that has a colon must be the latter. The empty string is the zero Path.
//
// Refused are a path that leaves its place ("..") or is the root, a name that
// could be another unit's or several directories, and control characters.
func ParsePath(cgroupsPath string) (Path, error) {
	p, err := parsePath(cgroupsPath)
	if err != nil {
		return Path{}, fmt.Errorf("cgroups path %q: %w", cgroupsPath, err)
	}
	return p, nil
}

func parsePath(text string) (Path, error) {
	if text == "" {
		return Path{}, nil
	}
	if err := printable(text); err != nil {
		return Path{}, err
	}
	if text[0] != '/' && strings.Contains(text, ":") {
		return parseUnitPath(text)
	}
	for part := range strings.SplitSeq(text, "/") {
		switch {
		case part == "..":
			return Path{}, errors.New(`".." leads out of it`)
		case strings.HasPrefix(part, "cgroup."):
			return Path{}, fmt.Errorf("%q is the name of a file of the kernel", part)
		case len(part) > maxUnitName:
			return Path{}, fmt.Errorf("a name of %d bytes is more than the kernel's %d", len(part), maxUnitName)
		}
	}
	dir := path.Clean(text)
	if dir == "/" || dir == "." {
		return Path{}, errors.New("the root cannot be a container's cgroup")
	}
	return Path{Dir: dir}, nil
}

func parseUnitPath(text string) (Path, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return Path{}, fmt.Errorf("%d parts where systemd's form slice:prefix:name has 3", len(parts))
	}
	p := Path{Systemd: true, Slice: parts[0], Prefix: parts[1], Name: parts[2]}
	if p.Slice != "" {
		if _, err := ExpandSlice(p.Slice); err != nil {
			return Path{}, err
		}
	}
	switch {
	case p.Name == "":
		return Path{}, errors.New("the name is empty")
	case strings.Contains(p.Prefix+p.Name, "/"):
		return Path{}, errors.New("a slash in a unit's name")
	case strings.HasSuffix(p.Name, ".slice"):
		// systemd does not delegate slices, and this one may be anybody's.
		return Path{}, errors.New("a container's unit is a scope, not a slice")
	}
	if _, err := UnitName(p.Prefix, p.Name); err != nil {
		return Path{}, err
	}
	return p, nil
}

// Unit is the name of the scope that p asks for, "" if p is not in systemd's
// form.
func (p Path) Unit() string {
	if !p.Systemd {
		return ""
	}
	name, err := UnitName(p.Prefix, p.Name)
	if err != nil {
		return "" // not from ParsePath
	}
	return name
}

// ExpandSlice is the path of a slice's cgroup below the manager's: every
// hyphen is a level, "a-b.slice" is "a.slice/a-b.slice", and the root slice
// "-.slice" is "" (systemd.slice(5)). The path is for messages and guesses;
// where a unit is, its ControlGroup property tells.
func ExpandSlice(slice string) (string, error) {
	base, ok := strings.CutSuffix(slice, ".slice")
	if !ok || base == "" {
		return "", fmt.Errorf("slice %q: does not end in .slice", slice)
	}
	if len(slice) > maxUnitName {
		return "", fmt.Errorf("slice %q: %d bytes are more than systemd's %d", slice, len(slice), maxUnitName)
	}
	for i := 0; i < len(base); i++ {
		if !unitByte(base[i]) {
			return "", fmt.Errorf("slice %q: %q is not valid in a unit's name", slice, base[i])
		}
	}
	if base == "-" {
		return "", nil
	}
	dir, prefix := "", ""
	for part := range strings.SplitSeq(base, "-") {
		if part == "" {
			return "", fmt.Errorf("slice %q: a hyphen separates levels, here there is no name beside it", slice)
		}
		prefix += part
		dir = path.Join(dir, prefix+".slice")
		prefix += "-"
	}
	return dir, nil
}

// printable refuses control characters: a newline would forge lines of
// /proc/PID/cgroup and logs, a NUL ends a name early.
func printable(text string) error {
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] == 0x7f {
			return fmt.Errorf("control character %q", text[i])
		}
	}
	return nil
}
