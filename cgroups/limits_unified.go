package cgroups

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// unified adds linux.resources.unified: cgroup v2's own files and values.
// Where a file has a row of its own, the value is read as the kernel would and
// spelled as the kernel spells it, with systemd's property; any other file gets
// its lines as they are.
func (c *converter) unified(files map[string]string) {
	for _, file := range slices.Sorted(maps.Keys(files)) {
		field := "linux.resources.unified[" + strconv.Quote(file) + "]"
		text := strings.TrimSpace(files[file])
		switch {
		case !unifiedName(file):
			c.refuse(field, "the name of a limit is CONTROLLER.PARAMETER")
		case containmentFile(file):
			c.refuse(field, "pkshim itself manages this file")
		case text == "":
			c.refuse(field, "the value is empty")
		case strings.ContainsFunc(text, func(r rune) bool { return (r < ' ' && r != '\n' && r != '\t') || r == 0x7f }):
			c.refuse(field, "the value %q has a control character", text)
		default:
			c.unifiedFile(field, file, text)
		}
	}
}

// unifiedName tells whether a name can be a file of a controller. It is used
// as a file name and is not to be trusted.
func unifiedName(name string) bool {
	controller, parameter, ok := strings.Cut(name, ".")
	if !ok || controller == "" || parameter == "" || strings.Contains(name, "..") || strings.HasSuffix(name, ".") {
		return false
	}
	for _, b := range []byte(name) {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '_', b == '.':
		default:
			return false
		}
	}
	return true
}

// containmentFile names the core's files that a limit must not touch: they
// place, freeze and kill processes, and shape the tree.
func containmentFile(name string) bool {
	switch name {
	case "cgroup.max.descendants", "cgroup.max.depth", "cgroup.pressure":
		return false
	}
	return strings.HasPrefix(name, "cgroup.")
}

func (c *converter) unifiedFile(field, file, text string) {
	switch file {
	case "memory.min", "memory.low", "memory.high", "memory.max",
		"memory.swap.high", "memory.swap.max", "memory.zswap.max":
		c.unifiedMemory(field, file, text)
	case "memory.oom.group":
		c.oomGroup(field, text)
	case "cpu.weight":
		c.number(field, text, c.cpuWeight)
	case "cpu.idle":
		c.cpuIdle(field, text)
	case "cpu.max":
		c.unifiedCPUMax(field, text)
	case "cpu.max.burst":
		c.number(field, text, c.cpuBurst)
	case "cpuset.cpus", "cpuset.mems":
		c.cpuset(field, file, text)
	case "pids.max":
		c.number(field, text, c.pidsMax)
	case "io.weight", "io.bfq.weight":
		c.unifiedIOWeight(field, file, text)
	case "io.max":
		c.unifiedIOMax(field, text)
	case "io.latency":
		c.unifiedIOLatency(field, text)
	default:
		if strings.HasPrefix(file, "hugetlb.") && strings.HasSuffix(file, ".max") {
			c.unifiedHugepage(field, file, text)
			return
		}
		c.unifiedLines(field, file, text)
	}
}

// number reads a single number or "max" and hands it to a row.
func (c *converter) number(field, text string, row func(field string, n uint64)) {
	n, err := parseLimit(text)
	if err != nil {
		c.refuse(field, "%w", err)
		return
	}
	row(field, n)
}

// unifiedLines adds a file that has no row of its own. The kernel takes one
// line with each write(2).
func (c *converter) unifiedLines(field, file, text string) {
	c.drop(file)
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			c.add(Setting{Field: field, File: file, Value: line})
		}
	}
}
