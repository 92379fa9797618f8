package cgroups

import (
	"fmt"
	"math"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// memoryProperty is systemd's name for a size in the memory controller, ""
// where it has none. Sources: systemd.resource-control(5); MemoryMin since
// 240, MemoryZSwapMax since 253.
func memoryProperty(file string) string {
	switch file {
	case "memory.min":
		return "MemoryMin"
	case "memory.low":
		return "MemoryLow"
	case "memory.high":
		return "MemoryHigh"
	case "memory.max":
		return "MemoryMax"
	case "memory.swap.max":
		return "MemorySwapMax"
	case "memory.zswap.max":
		return "MemoryZSwapMax"
	}
	return ""
}

func (c *converter) memory(m *specs.LinuxMemory) {
	if m == nil {
		return
	}
	const at = "linux.resources.memory."
	limit, reservation, swap := value(m.Limit), value(m.Reservation), value(m.Swap)
	if limit != 0 {
		c.memoryInt(at+"limit", "memory.max", limit)
	}
	if reservation != 0 {
		c.memoryInt(at+"reservation", "memory.low", reservation)
	}
	c.swap(at+"swap", swap, limit)
}

// swap converts OCI's memory+swap total to cgroup v2's swap alone. A total
// equal to the limit forbids swap; no limit on memory alone means none on swap
// either, which is what cgroup v1 did and what runc and crun kept.
func (c *converter) swap(field string, total, limit int64) {
	switch {
	case total == 0 && limit == -1, total == -1:
		c.memoryInt(field, "memory.swap.max", -1)
	case total == 0:
		return
	case limit <= 0:
		c.refuse(field, "the total of memory and swap needs a memory limit")
	case total < limit:
		c.refuse(field, "%d is less than the memory limit %d, which it includes", total, limit)
	default:
		c.memoryInt(field, "memory.swap.max", total-limit)
	}
}

// memoryInt adds a size as OCI spells it, with -1 for no limit.
func (c *converter) memoryInt(field, file string, n int64) {
	switch {
	case n == -1:
		c.memorySize(field, file, noLimit)
	case n < 0:
		c.refuse(field, "%d is negative (-1 is no limit)", n)
	default:
		c.memorySize(field, file, uint64(n))
	}
}

// memorySize adds the row for a size in bytes. The kernel keeps whole pages,
// rounding down, and takes LONG_MAX and above as "max"
// (page_counter_memparse, PAGE_COUNTER_MAX in include/linux/page_counter.h).
func (c *converter) memorySize(field, file string, bytes uint64) {
	asked := bytes
	bytes -= bytes % c.pageSize
	if asked/c.pageSize >= math.MaxInt64/c.pageSize {
		bytes = noLimit
	}
	// With memory.max or memory.high at 0 nothing could run, and systemd
	// refuses the properties at 0 (InvalidArgs).
	lowest := file == "memory.max" || file == "memory.high"
	if bytes == 0 && (asked > 0 || lowest) {
		c.refuse(field, "%d bytes are less than a page, which has %d", asked, c.pageSize)
		return
	}
	s := Setting{Field: field, File: file, Value: formatLimit(bytes)}
	if s.Property = memoryProperty(file); s.Property != "" {
		s.Variant = bytes
	}
	// Without swap in the kernel, or with swapaccount=0, the file is absent and
	// there is no swap to be had.
	s.Optional = file == "memory.swap.max" && bytes == 0
	c.set(s)
}

// unifiedMemory adds a size as the kernel takes it, with memparse's suffixes.
func (c *converter) unifiedMemory(field, file, text string) {
	bytes, err := parseSize(text)
	if err != nil {
		c.refuse(field, "%w", err)
		return
	}
	c.memorySize(field, file, bytes)
}

// oomGroup adds memory.oom.group, to the workload's cgroup alone. systemd has it
// as OOMPolicy=kill, which would take the unit's other leaf along: the guard,
// and with the last process the cgroup and what its counters say of the kill.
func (c *converter) oomGroup(field, text string) {
	if text != "0" && text != "1" {
		c.refuse(field, "%q is neither 0 nor 1", text)
		return
	}
	c.set(Setting{Field: field, File: "memory.oom.group", Value: text})
}

// parseSize reads a number of bytes with one optional suffix K, M, G, T, P or
// E, in powers of 1024, as the kernel's memparse does.
func parseSize(text string) (uint64, error) {
	digits, shift := text, 0
	if n := len(text); n > 0 {
		if i := strings.IndexByte("KMGTPE", text[n-1]&^0x20); i >= 0 {
			digits, shift = text[:n-1], 10*(i+1)
		}
	}
	n, err := parseLimit(digits)
	switch {
	case err != nil || (n == noLimit && shift > 0):
		return 0, fmt.Errorf("%q is neither a size nor max", text)
	case n == noLimit:
		return n, nil
	case n > math.MaxUint64>>shift:
		return 0, fmt.Errorf("%q is more than 64 bits", text)
	}
	return n << shift, nil
}

// value is *p, or zero if p is nil.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
