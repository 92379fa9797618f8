package spec

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// cgroupsPath is "slice:prefix:name", as runc and crun take it for systemd, or
// a path below the cgroup mount.
func (v *validator) cgroupsPath(p string) {
	const path = "linux.cgroupsPath"
	switch {
	case p == "":
	case strings.ContainsFunc(p, unicode.IsControl):
		v.bad(path, "%s has a control character", clip(p))
	case p[0] != '/' && strings.Contains(p, ":"):
		v.unit(path, p)
	default:
		v.directory(path, p)
	}
}

// directory checks a path by its components.
func (v *validator) directory(path, p string) {
	const longest = 255 // NAME_MAX
	named := false
	for part := range strings.SplitSeq(p, "/") {
		named = named || part != "" && part != "."
		switch {
		case part == "..":
			v.bad(path, "%s has a \"..\" in it", clip(p))
			return
		case strings.HasPrefix(part, "cgroup."):
			v.bad(path, "component %s is named like the kernel's own files", clip(part))
			return
		case len(part) > longest:
			v.bad(path, "component %s has %d bytes, at most %d are allowed", clip(part), len(part), longest)
			return
		}
	}
	if !named {
		v.bad(path, "the root of a cgroup tree is not a container's")
	}
}

// unit checks slice:prefix:name, which becomes PREFIX-NAME.scope in the slice.
func (v *validator) unit(path, p string) {
	parts := strings.Split(p, ":")
	if len(parts) != 3 {
		v.bad(path, "%s has %d parts; it must be slice:prefix:name, or a path that begins with /", clip(p), len(parts))
		return
	}
	slice, prefix, name := parts[0], parts[1], parts[2]
	unit := strings.TrimPrefix(prefix+"-"+name+".scope", "-")
	const longest = 255 // UNIT_NAME_MAX of systemd
	switch {
	case name == "":
		v.bad(path, "%s has no name after the last colon", clip(p))
	case slice != "" && !isSlice(slice):
		v.bad(path, "%s is not the name of a slice, such as system.slice or user-app.slice", clip(slice))
	case strings.Contains(prefix+name, "/"):
		v.bad(path, "%s has a / in the name of its unit", clip(p))
	case strings.HasSuffix(name, ".slice"):
		v.bad(path, "%s names a slice; a workload is a scope", clip(p))
	case len(unit) > longest:
		v.bad(path, "unit %s has %d bytes, at most %d are allowed", clip(unit), len(unit), longest)
	}
}

// isSlice checks the name of a slice unit: words joined by single dashes, each
// dash being a level of the tree (systemd.slice(5)), or the root slice.
func isSlice(s string) bool {
	name, ok := strings.CutSuffix(s, ".slice")
	if !ok || len(s) > 255 {
		return false
	}
	for word := range strings.SplitSeq(name, "-") {
		if name != "-" && word == "" {
			return false
		}
		if strings.ContainsFunc(word, func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune(`_.\`, r) }) {
			return false
		}
	}
	return true
}

// unified checks raw cgroup v2 files. A key becomes a file name.
func (v *validator) unified(r *specs.LinuxResources) {
	for _, key := range slices.Sorted(maps.Keys(r.Unified)) {
		path := member(resources+".unified", key)
		switch value := r.Unified[key]; {
		case isCoreFile(key):
			v.add(path, KindUnsupported, "", "refused: the cgroup.* files place, freeze and kill processes, which is pkshim's part")
		case !isControllerFile(key):
			v.bad(path, "%s is not the name of a controller's file, such as memory.high", clip(key))
		case value == "":
			v.bad(path, "the value is empty")
		case strings.IndexByte(value, 0) >= 0:
			v.bad(path, "the value has a NUL character")
		default:
			if other := typed(r, key); other != "" && !v.undecoded(path) {
				v.soft(path, "given twice: %s is the same file", other)
			}
		}
	}
}

// isCoreFile names the files of the cgroup core, but for those that limit the
// tree below the group or switch its pressure accounting.
func isCoreFile(key string) bool {
	switch key {
	case "cgroup.max.descendants", "cgroup.max.depth", "cgroup.pressure":
		return false
	}
	return strings.HasPrefix(key, "cgroup.")
}

// isControllerFile is ^[a-z]+(\.[A-Za-z0-9_]+)+$: no separator, no "..".
func isControllerFile(key string) bool {
	controller, rest, _ := strings.Cut(key, ".")
	if controller == "" || strings.ContainsFunc(controller, func(r rune) bool { return r < 'a' || r > 'z' }) {
		return false
	}
	for word := range strings.SplitSeq(rest, ".") {
		if !isWord(word) {
			return false
		}
	}
	return true
}

// typed is the path of the property that sets the same cgroup file, if one does.
func typed(r *specs.LinuxResources, file string) string {
	if m := r.Memory; m != nil {
		switch {
		case file == "memory.max" && m.Limit != nil:
			return resources + ".memory.limit"
		case file == "memory.low" && m.Reservation != nil:
			return resources + ".memory.reservation"
		case file == "memory.swap.max" && m.Swap != nil:
			return resources + ".memory.swap"
		}
	}
	if r.CPU != nil {
		if other := typedCPU(r.CPU, file); other != "" {
			return resources + ".cpu." + other
		}
	}
	if r.BlockIO != nil {
		if other := typedIO(r.BlockIO, file); other != "" {
			return resources + ".blockIO." + other
		}
	}
	for i, l := range r.HugepageLimits {
		if file == "hugetlb."+l.Pagesize+".max" || file == "hugetlb."+l.Pagesize+".rsvd.max" {
			return item(resources+".hugepageLimits", i)
		}
	}
	switch {
	case file == "pids.max" && r.Pids != nil && r.Pids.Limit != nil:
		return resources + ".pids.limit"
	case file == "rdma.max" && len(r.Rdma) > 0:
		return resources + ".rdma"
	}
	return ""
}

func typedCPU(c *specs.LinuxCPU, file string) string {
	switch {
	case file == "cpu.max" && c.Quota != nil:
		return "quota"
	case file == "cpu.max" && c.Period != nil:
		return "period"
	case file == "cpu.max.burst" && c.Burst != nil:
		return "burst"
	case (file == "cpu.weight" || file == "cpu.weight.nice") && c.Shares != nil:
		return "shares"
	case file == "cpu.idle" && c.Idle != nil:
		return "idle"
	case file == "cpuset.cpus" && c.Cpus != "":
		return "cpus"
	case file == "cpuset.mems" && c.Mems != "":
		return "mems"
	}
	return ""
}

func typedIO(b *specs.LinuxBlockIO, file string) string {
	weight := file == "io.weight" || file == "io.bfq.weight"
	switch {
	case weight && b.Weight != nil:
		return "weight"
	case weight && len(b.WeightDevice) > 0:
		return "weightDevice"
	case file != "io.max":
	case len(b.ThrottleReadBpsDevice) > 0:
		return "throttleReadBpsDevice"
	case len(b.ThrottleWriteBpsDevice) > 0:
		return "throttleWriteBpsDevice"
	case len(b.ThrottleReadIOPSDevice) > 0:
		return "throttleReadIOPSDevice"
	case len(b.ThrottleWriteIOPSDevice) > 0:
		return "throttleWriteIOPSDevice"
	}
	return ""
}
