package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var (
	schedulerPolicies = [...]string{
		"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE",
	}
	schedulerFlags = [...]string{
		"SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_KEEP_POLICY",
		"SCHED_FLAG_KEEP_PARAMS", "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX",
	}
	ioClasses = [...]string{"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"}
)

// scheduler checks what sched_setattr(2) would answer EINVAL to, and values
// that a policy does not use.
func (v *validator) scheduler(s *specs.Scheduler) {
	const path = "process.scheduler"
	low, high := int32(0), int32(0) // the static priority's range, sched(7)
	switch s.Policy {
	case specs.SchedFIFO, specs.SchedRR:
		low, high = 1, 99
	case specs.SchedISO:
		v.add(path+".policy", KindUnsupported, "", "refused: no version of Linux has implemented SCHED_ISO (sched.h)")
	case specs.SchedDeadline:
		v.deadline(s)
	default:
		v.oneOf(path+".policy", string(s.Policy), schedulerPolicies[:], "SCHED_")
	}
	known := slices.Contains(schedulerPolicies[:], string(s.Policy))
	if known && (s.Priority < low || s.Priority > high) {
		v.bad(path+".priority", "%d is out of range: %d to %d for %s", s.Priority, low, high, s.Policy)
	}
	switch {
	case s.Nice < -20 || s.Nice > 19:
		v.bad(path+".nice", "%d is out of range: -20 to 19", s.Nice)
	case known && s.Nice != 0 && s.Policy != specs.SchedOther && s.Policy != specs.SchedBatch:
		v.bad(path+".nice", "%s has no nice value, only SCHED_OTHER and SCHED_BATCH have", s.Policy)
	}
	if known && s.Policy != specs.SchedDeadline && (s.Runtime != 0 || s.Deadline != 0 || s.Period != 0) {
		v.bad(path, "runtime, deadline and period are for SCHED_DEADLINE, not for %s", s.Policy)
	}
	for i, flag := range s.Flags {
		v.oneOf(item(path+".flags", i), string(flag), schedulerFlags[:], "SCHED_FLAG_")
	}
}

// deadline: 1024 ns <= runtime <= deadline <= period < 2^63, where a period of
// 0 is the deadline's (kernel/sched/deadline.c, __checkparam_dl).
func (v *validator) deadline(s *specs.Scheduler) {
	const path = "process.scheduler"
	const shortest, longest = 1024, 1<<63 - 1
	switch {
	case s.Runtime < shortest:
		v.bad(path+".runtime", "%d ns is less than the kernel's minimum of %d", s.Runtime, shortest)
	case s.Runtime > s.Deadline:
		v.bad(path+".runtime", "%d ns is more than the deadline of %d", s.Runtime, s.Deadline)
	}
	switch {
	case s.Deadline == 0:
		v.bad(path+".deadline", "missing: SCHED_DEADLINE needs one")
	case s.Deadline > longest:
		v.bad(path+".deadline", "%d ns is out of range: at most %d", s.Deadline, uint64(longest))
	}
	switch {
	case s.Period != 0 && s.Period < s.Deadline:
		v.bad(path+".period", "%d ns is less than the deadline of %d", s.Period, s.Deadline)
	case s.Period > longest:
		v.bad(path+".period", "%d ns is out of range: at most %d", s.Period, uint64(longest))
	}
}

// ioPriority: the kernel ignores the level of the idle class, and OCI's own
// example gives it one, so that is none of the problems.
func (v *validator) ioPriority(p *specs.LinuxIOPriority) {
	v.oneOf("process.ioPriority.class", string(p.Class), ioClasses[:], "IOPRIO_CLASS_")
	if p.Priority < 0 || p.Priority > 7 { // ioprio_set(2)
		v.bad("process.ioPriority.priority", "%d is out of range: 0, the highest, to 7", p.Priority)
	}
}

func (v *validator) oneOf(path, value string, values []string, prefix string) {
	if !slices.Contains(values, value) {
		v.add(path, KindValue, nearestOf(value, values, prefix),
			fmt.Sprintf("%s is not one of %s", clip(value), strings.Join(values, ", ")))
	}
}

// The largest CPU and memory node numbers that a kernel can be built for:
// NR_CPUS is at most 8192, MAX_NUMNODES at most 1024 (arch Kconfig files). The
// bound keeps a list from becoming a bit mask of gigabytes.
const (
	maxCPU  = 8191
	maxNode = 1023
)

// list checks "a comma-separated list, with dashes to represent ranges"
// (config-linux.md), of numbers up to most. Empty is absent.
func (v *validator) list(path, list string, most int) {
	if list == "" {
		return
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, errA := strconv.ParseUint(first, 10, 32)
		b, errB := strconv.ParseUint(last, 10, 32)
		switch {
		case errA != nil || errB != nil || first[0] == '+' || last[0] == '+':
			v.bad(path, "%s is not a list such as 0-3,7", clip(list))
			return
		case b > uint64(most) || a > uint64(most):
			v.bad(path, "%s is out of range: 0 to %d", clip(part), most)
			return
		case a > b:
			v.bad(path, "%s is a range from high to low", clip(part))
			return
		}
	}
}
