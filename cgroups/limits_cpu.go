package cgroups

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The CPU controller's numbers, in microseconds. Sources: the kernel's
// tg_set_cfs_bandwidth (kernel/sched/core.c) and systemd's
// cgroup_apply_unified_cpu_quota (src/core/cgroup.c).
const (
	defaultPeriod = 100_000   // both
	minPeriod     = 1_000     // both; the kernel's smallest quota as well
	maxPeriod     = 1_000_000 // both; systemd clamps silently
	maxQuota      = 1<<44 - 1 // the kernel's MAX_BW

	// systemd keeps the quota of a second in a unit file as whole percent,
	// truncated: after a daemon-reload 1.5 % is 1 %.
	quotaStep = 10_000
)

func (c *converter) cpu(r *specs.LinuxCPU) {
	if r == nil {
		return
	}
	const at = "linux.resources.cpu."
	if shares := value(r.Shares); shares != 0 {
		c.cpuWeight(at+"shares", weightOfShares(shares))
	}
	if r.Idle != nil {
		c.cpuIdle(at+"idle", strconv.FormatInt(*r.Idle, 10))
	}
	quota, period := value(r.Quota), value(r.Period)
	switch {
	case quota < -1:
		c.refuse(at+"quota", "%d is negative (-1 is no limit)", quota)
	case quota > 0:
		c.cpuMax(at+"quota", uint64(quota), period)
	case quota == -1:
		c.cpuMax(at+"quota", noLimit, period)
	case period != 0:
		c.cpuMax(at+"period", noLimit, period)
	}
	if r.Burst != nil {
		c.cpuBurst(at+"burst", *r.Burst)
	}
	if r.Cpus != "" {
		c.cpuset(at+"cpus", "cpuset.cpus", r.Cpus)
	}
	if r.Mems != "" {
		c.cpuset(at+"mems", "cpuset.mems", r.Mems)
	}
}

// weightOfShares maps cgroup v1's shares 2..262144 to weights 1..10000 by the
// quadratic in log space that runc 1.3.2 and crun 1.23 use, so that the
// defaults meet: 1024 is 100. (The older linear map made it 39.)
//
// https://github.com/opencontainers/runc/pull/4785
func weightOfShares(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	weight := math.Pow(10, (l*l+125*l)/612-7.0/34)
	// Rounding noise of the last bit, which differs between processors, must
	// not lift 100 to 101.
	return uint64(math.Ceil(weight - 1e-9))
}

func (c *converter) cpuWeight(field string, weight uint64) {
	if weight < 1 || weight > 10000 {
		c.refuse(field, "weight %d is not in 1..10000", weight)
		return
	}
	c.set(Setting{
		Field: field, File: "cpu.weight", Value: formatLimit(weight),
		Property: "CPUWeight", Variant: weight,
	})
}

// cpuIdle adds cpu.idle (Linux 5.15). systemd has it since 252, as CPUWeight=0;
// an older one refuses that with InvalidArgs. Out of idleness a group returns
// to weight 100.
func (c *converter) cpuIdle(field, text string) {
	s := Setting{Field: field, File: "cpu.idle", Value: text, Property: "CPUWeight"}
	switch text {
	case "0":
		s.Variant = uint64(100)
	case "1":
		s.Variant = uint64(0)
	default:
		c.refuse(field, "%s is neither 0 nor 1", text)
		return
	}
	c.set(s)
}

// cpuMax adds cpu.max with systemd's two properties, all from one rounded
// quota. A period of 0 is the default; a quota of noLimit keeps its period,
// which counts once there is a quota.
func (c *converter) cpuMax(field string, quota, period uint64) {
	if period == 0 {
		period = defaultPeriod
	}
	if period < minPeriod || period > maxPeriod {
		c.refuse(field, "period %d µs is not in %d..%d", period, minPeriod, maxPeriod)
		return
	}
	perSec := uint64(noLimit)
	if quota != noLimit {
		var err error
		if perSec, quota, err = roundQuota(quota, period); err != nil {
			c.refuse(field, "%w", err)
			return
		}
	}
	c.dropProperty("CPUQuotaPeriodUSec")
	c.set(Setting{
		Field: field, File: "cpu.max", Value: formatLimit(quota) + " " + formatLimit(period),
		Property: "CPUQuotaPerSecUSec", Variant: perSec,
	})
	c.add(Setting{Field: field, Controller: "cpu", Property: "CPUQuotaPeriodUSec", Variant: period}) // systemd ≥ 242
}

// roundQuota rounds a quota up to what systemd keeps, whole percent of a
// second, and returns it for a second and for a period. The latter is computed
// exactly as systemd does for its own write of cpu.max, so that the files of
// the scope and of the leaf agree.
func roundQuota(quota, period uint64) (perSec, rounded uint64, err error) {
	if quota > maxQuota {
		return 0, 0, fmt.Errorf("quota %d µs is more than the kernel's %d", quota, uint64(maxQuota))
	}
	// No overflow: 2⁴⁴ · 10⁶ < 2⁶⁴, and rounding up adds at most 10¹⁰.
	perSec = (quota*1_000_000 + period - 1) / period
	perSec = (perSec + quotaStep - 1) / quotaStep * quotaStep
	rounded = perSec * period / 1_000_000
	if rounded < minPeriod {
		// systemd would lengthen the period, so file and unit would differ.
		return 0, 0, fmt.Errorf("quota %d µs in %d µs is less than the kernel's smallest, %d µs; ask for the same share of a longer period",
			quota, period, minPeriod)
	}
	if rounded > maxQuota {
		return 0, 0, fmt.Errorf("quota %d µs is more than the kernel's %d", rounded, uint64(maxQuota))
	}
	return perSec, rounded, nil
}

// unifiedCPUMax adds cpu.max as the kernel takes it, "QUOTA [PERIOD]".
func (c *converter) unifiedCPUMax(field, text string) {
	words := strings.Fields(text)
	if len(words) < 1 || len(words) > 2 {
		c.refuse(field, "%q is not a quota and a period", text)
		return
	}
	quota, err := parseLimit(words[0])
	if err != nil {
		c.refuse(field, "quota %w", err)
		return
	}
	period := uint64(defaultPeriod)
	if len(words) == 2 {
		if period, err = parseLimit(words[1]); err != nil {
			c.refuse(field, "period %w", err)
			return
		}
		if period == 0 {
			c.refuse(field, "period 0")
			return
		}
	}
	c.cpuMax(field, quota, period)
}

// cpuBurst adds cpu.max.burst (Linux 5.14), for which systemd has no property.
func (c *converter) cpuBurst(field string, burst uint64) {
	if burst > maxQuota {
		c.refuse(field, "burst %d µs is more than the kernel's %d", burst, uint64(maxQuota))
		return
	}
	c.set(Setting{Field: field, File: "cpu.max.burst", Value: formatLimit(burst)})
}

// finishCPU settles what the rows of the CPU controller mean for each other.
func (c *converter) finishCPU() {
	if idle := c.find("cpu.idle"); idle != nil {
		if idle.Value == "1" {
			// Idle is less than any weight: the kernel forgets the weight of an
			// idle group, and refuses a new one.
			c.drop("cpu.weight")
		} else if c.find("cpu.weight") != nil {
			idle.Property, idle.Variant = "", nil // the weight has the property
		}
	}
	limit, burst := c.find("cpu.max"), c.find("cpu.max.burst")
	if limit == nil || burst == nil {
		return
	}
	quota, _, _ := strings.Cut(limit.Value, " ")
	q, errQuota := parseLimit(quota)
	b, errBurst := parseLimit(burst.Value)
	if errQuota == nil && errBurst == nil && b > q {
		c.refuse(burst.Field, "burst %d µs is more than the quota %d µs", b, q)
	}
}
