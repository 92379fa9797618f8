package cgroups

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxPids is the kernel's PID_MAX_LIMIT on 64 bits. pids.max refuses more than
// that, which no host can reach anyway.
const maxPids = 1 << 22

func (c *converter) pids(r *specs.LinuxPids) {
	if r == nil || r.Limit == nil {
		return
	}
	const field = "linux.resources.pids.limit"
	switch limit := *r.Limit; {
	case limit == -1:
		c.pidsMax(field, noLimit)
	case limit < 0:
		c.refuse(field, "%d is negative (-1 is no limit)", limit)
	default:
		c.pidsMax(field, uint64(limit))
	}
}

// pidsMax adds pids.max. File and property differ by one here: TasksMax counts
// the whole unit, in which the supervisor leaf has one task of ours, so that at
// equal values a fork of the payload would be refused one too early. The limit
// itself is the file, on the payload's leaf. The one also makes 0, which is a
// limit, acceptable to systemd: it refuses TasksMax=0 (InvalidArgs).
func (c *converter) pidsMax(field string, limit uint64) {
	if limit > maxPids {
		limit = noLimit
	}
	tasks := uint64(noLimit)
	if limit < maxPids {
		tasks = limit + 1
	}
	c.set(Setting{Field: field, File: "pids.max", Value: formatLimit(limit), Property: "TasksMax", Variant: tasks})
}

func (c *converter) hugepages(limits []specs.LinuxHugepageLimit) {
	for i, limit := range limits {
		field := fmt.Sprintf("linux.resources.hugepageLimits[%d]", i)
		size, err := hugepageSize(limit.Pagesize)
		if err != nil {
			c.refuse(field+".pageSize", "%w", err)
			continue
		}
		// OCI wants the limit on reservations (Linux 5.7), and on faults where
		// the kernel has only that; both are written, as runc and crun do.
		for _, file := range []string{"hugetlb." + limit.Pagesize + ".max", "hugetlb." + limit.Pagesize + ".rsvd.max"} {
			c.hugepageMax(field+".limit", file, size, limit.Limit)
		}
	}
}

// hugepageMax adds a limit of hugetlb, for which systemd has no property. The
// kernel rounds down to whole huge pages.
func (c *converter) hugepageMax(field, file string, size, limit uint64) {
	rounded := limit - limit%size
	switch {
	case limit >= math.MaxInt64-math.MaxInt64%size:
		rounded = noLimit
	case rounded == 0 && limit > 0:
		c.refuse(field, "%d bytes are less than a huge page, which has %d", limit, size)
		return
	}
	c.set(Setting{
		Field: field, File: file, Value: formatLimit(rounded),
		Optional: strings.HasSuffix(file, ".rsvd.max"),
	})
}

// hugepageSize reads a huge page size as hugetlb's file names spell it, such
// as 2MB. The text becomes part of a file name and is not to be trusted.
func hugepageSize(text string) (uint64, error) {
	number, shift := text, 0
	for i, unit := range []string{"KB", "MB", "GB"} {
		if before, ok := strings.CutSuffix(text, unit); ok {
			number, shift = before, 10*(i+1)
		}
	}
	n, err := parseLimit(number)
	if err != nil || shift == 0 || n == 0 || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q is not a size such as 64KB, 2MB or 1GB", text)
	}
	return n << shift, nil
}

// unifiedHugepage adds hugetlb.SIZE.max or hugetlb.SIZE.rsvd.max.
func (c *converter) unifiedHugepage(field, file, text string) {
	name := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(file, "hugetlb."), ".max"), ".rsvd")
	size, err := hugepageSize(name)
	if err != nil {
		c.refuse(field, "%w", err)
		return
	}
	limit, err := parseSize(text)
	if err != nil {
		c.refuse(field, "%w", err)
		return
	}
	c.hugepageMax(field, file, size, limit)
}

func (c *converter) rdma(devices map[string]specs.LinuxRdma) {
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		field := "linux.resources.rdma[" + strconv.Quote(name) + "]"
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '=' || r == '/' }) {
			c.refuse(field, "%q is not a device name", name)
			continue
		}
		line := name
		if limit := devices[name].HcaHandles; limit != nil {
			line += " hca_handle=" + rdmaLimit(*limit)
		}
		if limit := devices[name].HcaObjects; limit != nil {
			line += " hca_object=" + rdmaLimit(*limit)
		}
		if line == name {
			c.refuse(field, "neither hcaHandles nor hcaObjects is given")
			continue
		}
		c.add(Setting{Field: field, File: "rdma.max", Value: line})
	}
}

// rdmaLimit spells a limit of rdma.max, for which the kernel takes an int and
// its largest value as "max" (kernel/cgroup/rdma.c).
func rdmaLimit(n uint32) string {
	if n >= math.MaxInt32 {
		return "max"
	}
	return strconv.FormatUint(uint64(n), 10)
}
