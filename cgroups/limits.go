package cgroups

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// noLimit is "max" in the kernel's files and "infinity" in systemd's
// properties (CGROUP_LIMIT_MAX and USEC_INFINITY are both UINT64_MAX).
const noLimit = math.MaxUint64

// A Setting is one limit in both spellings: what is written to the file of a
// cgroup, and the property of the systemd unit around it. The two are rounded
// to one value, which the kernel reads back and which a reload of systemd's
// configuration reproduces; systemd resets whatever it knows differently.
//
// A limit that takes more than one property, or a property that takes more
// than one file line, is spread over rows: a row without File is a property
// only, a row without Property is a file only.
//
// Weights and protections (cpu.weight, cpu.idle, io.weight, io.bfq.weight,
// memory.min, memory.low) act among the children of one parent, so writing the
// leaf's file alone does nothing for it against the rest of the host: the
// property must hold on the unit too.
type Setting struct {
	Field      string // where it was asked, "linux.resources.memory.limit"
	Controller string // "memory"; "" for the core's own cgroup.* files
	File       string // "memory.max"; "" for a property only
	Value      string // what is written to File, "268435456"
	Property   string // systemd's unit property, "MemoryMax"; "" for a file only
	Variant    any    // its D-Bus value: uint64, bool, string, []byte or []DeviceValue

	// Optional says that an absent File is no error, because what Value asks
	// for holds without it: nothing was to be limited, there is no swap to
	// forbid, or another row has the same limit.
	Optional bool
	// Alternative is a second file that can hold this limit: File may be
	// absent where Alternative is there, whose own row is in the list.
	Alternative string
}

// A DeviceValue is one element of systemd's per-device properties, which are
// D-Bus arrays of (path, number): a(st).
type DeviceValue struct {
	Path  string // "/dev/block/8:0"
	Value uint64
}

// A LimitError is a limit that cannot be expressed in cgroup v2.
type LimitError struct {
	Field string // "linux.resources.memory.limit"
	Err   error
}

func (e *LimitError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *LimitError) Unwrap() error { return e.Err }

// Settings converts what r asks for, in the order in which the files must be
// written. pageSize is the kernel's, to which it rounds sizes down.
//
// The error joins a [LimitError] for each value that cannot be kept. A file in
// unified replaces what another field gave for the same file, as in runc and
// crun; Kubernetes relies on that for memory.swap.max. As in OCI v1's text and
// every runtime, 0 means "not asked" for memory, shares, quota, period and
// weights, and is a limit for pids. Fields that have no cgroup v2 file
// (swappiness, kernel memory, realtime, leafWeight, network, devices) give no
// Setting: package spec refuses them.
func Settings(r *specs.LinuxResources, pageSize int) ([]Setting, error) {
	if r == nil {
		return nil, nil
	}
	if pageSize <= 0 || pageSize&(pageSize-1) != 0 {
		return nil, fmt.Errorf("page size %d is not a power of two", pageSize)
	}
	c := &converter{pageSize: uint64(pageSize)}
	c.memory(r.Memory)
	c.cpu(r.CPU)
	c.pids(r.Pids)
	c.blockIO(r.BlockIO)
	c.hugepages(r.HugepageLimits)
	c.rdma(r.Rdma)
	c.unified(r.Unified)
	c.finishIO()
	c.finishCPU()
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.rows, func(a, b Setting) int { return rank(a.File) - rank(b.File) })
	return c.rows, nil
}

// Controllers returns the controllers that must be enabled for s, sorted. A
// setting that limits nothing needs none.
func Controllers(s []Setting) []string {
	var names []string
	for _, row := range s {
		if row.Controller != "" && !row.unlimited() {
			names = append(names, row.Controller)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// unlimited tells whether s asks for what a cgroup without the file has.
func (s *Setting) unlimited() bool {
	switch s.File {
	case "":
		return true // the file's own row speaks for the limit
	case "cpu.idle", "cpu.max.burst", "memory.min", "memory.low", "memory.oom.group":
		return s.Value == "0"
	}
	return s.Value == "max" || strings.HasPrefix(s.Value, "max ")
}

// rank is a file's place in the order of writing. What matters in it:
//   - cpu.idle before cpu.weight: an idle group refuses a weight with EINVAL.
//   - cpu.max before cpu.max.burst: a burst above the quota is EINVAL. (A quota
//     below the present burst is too: who shrinks both writes burst 0 first.)
//   - memory.oom.group before the limits, which may already kill.
//   - swap before memory: memory that a lower memory.max pushes out must not
//     land in swap that is to be forbidden. memory.high before memory.max
//     reclaims where max would kill.
//
// Everything else, and the rows that are properties only, comes last.
func rank(file string) int {
	order := [...]string{
		"cpu.idle", "cpu.weight", "cpu.max", "cpu.max.burst",
		"memory.oom.group", "memory.swap.high", "memory.swap.max", "memory.zswap.max",
		"memory.min", "memory.low", "memory.high", "memory.max",
	}
	if i := slices.Index(order[:], file); i >= 0 {
		return i
	}
	if file == "" {
		return len(order) + 1
	}
	return len(order)
}

// A converter collects the rows and the errors of one request.
type converter struct {
	pageSize uint64
	io       ioLimits
	rows     []Setting
	errs     []error
}

func (c *converter) refuse(field, format string, args ...any) {
	c.errs = append(c.errs, &LimitError{field, fmt.Errorf(format, args...)})
}

// add appends a row.
func (c *converter) add(s Setting) {
	if controller, _, ok := strings.Cut(s.File, "."); ok && controller != "cgroup" {
		s.Controller = controller
	}
	if s.File != "" && s.unlimited() {
		s.Optional = true
	}
	c.rows = append(c.rows, s)
}

// set puts a row in place of the rows for the same file.
func (c *converter) set(s Setting) {
	c.drop(s.File)
	c.add(s)
}

func (c *converter) dropProperty(name string) {
	c.rows = slices.DeleteFunc(c.rows, func(s Setting) bool { return s.File == "" && s.Property == name })
}

func (c *converter) drop(file string) {
	c.rows = slices.DeleteFunc(c.rows, func(s Setting) bool { return s.File == file })
}

// find returns the last row for a file, or nil.
func (c *converter) find(file string) *Setting {
	for i := len(c.rows) - 1; i >= 0; i-- {
		if c.rows[i].File == file {
			return &c.rows[i]
		}
	}
	return nil
}

// formatLimit spells n as the kernel does.
func formatLimit(n uint64) string {
	if n == noLimit {
		return "max"
	}
	return strconv.FormatUint(n, 10)
}

// parseLimit reads "max" or a plain decimal number. The kernel guesses the
// base of most of these numbers, so that 010 is 8 to it: such spellings are
// refused.
func parseLimit(s string) (uint64, error) {
	if s == "max" {
		return noLimit, nil
	}
	if len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%q is not a decimal number", s)
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || s[0] == '+' {
		return 0, fmt.Errorf("%q is neither a number nor max", s)
	}
	return n, nil
}
