package spec

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const resources = "linux.resources"

// resources checks the limits. How each becomes a cgroup file and a systemd
// property is package cgroups' business; the ranges here are the kernel's.
func (v *validator) resources() {
	r := v.spec.Linux.Resources
	if r == nil {
		return
	}
	if r.Memory != nil {
		v.memory(r.Memory)
	}
	if r.CPU != nil {
		v.cpu(r.CPU)
	}
	if r.Pids != nil {
		v.pids(r.Pids)
	}
	if r.BlockIO != nil {
		v.blockIO(r.BlockIO)
	}
	v.hugepages(r.HugepageLimits)
	v.rdma(r.Rdma)
	v.unified(r)
}

// memory: sizes are bytes, and -1 is unlimited. Other runtimes take 0 for
// "not set", where the kernel would take it for no memory at all.
func (v *validator) memory(m *specs.LinuxMemory) {
	const path = resources + ".memory"
	v.size(path+".limit", m.Limit, "leave it out for no limit")
	v.size(path+".reservation", m.Reservation, "leave it out for no reservation")
	v.size(path+".swap", m.Swap, "memory and swap are counted together, so the value of limit forbids swapping")
	limited := m.Limit != nil && *m.Limit > 0
	if limited && m.Reservation != nil && *m.Reservation > *m.Limit {
		v.soft(path+".reservation", "%d is more than the limit of %d", *m.Reservation, *m.Limit)
	}
	if m.Swap == nil || *m.Swap <= 0 || v.undecoded(path+".limit") {
		return
	}
	switch {
	case !limited:
		v.bad(path+".swap", "a limit of memory and swap together needs a limit of memory")
	case *m.Swap < *m.Limit:
		v.bad(path+".swap", "%d is less than the limit of %d, which it includes", *m.Swap, *m.Limit)
	}
}

func (v *validator) size(path string, n *int64, instead string) {
	switch {
	case n == nil:
	case *n < -1:
		v.bad(path, "%d is negative; -1 is unlimited", *n)
	case *n == 0:
		v.soft(path, "0 bytes is no limit; %s", instead)
	}
}

// cpu: the ranges of tg_set_cfs_bandwidth and of cpu.shares in
// kernel/sched/core.c. As in other runtimes 0 is "not set".
func (v *validator) cpu(c *specs.LinuxCPU) {
	const path = resources + ".cpu"
	const shortest, longest, most = 1000, 1_000_000, 1<<44 - 1 // 1 ms, 1 s, MAX_BW
	if p := c.Period; p != nil && *p != 0 && (*p < shortest || *p > longest) {
		v.bad(path+".period", "%d µs is out of range: %d to %d", *p, shortest, longest)
	}
	if q := c.Quota; q != nil && (*q < -1 || *q > 0 && *q < shortest || *q > most) {
		v.bad(path+".quota", "%d µs is out of range: %d to %d, or -1 for no limit", *q, shortest, int64(most))
	}
	switch b := c.Burst; {
	case b == nil:
	case *b > most:
		v.bad(path+".burst", "%d µs is out of range: 0 to %d", *b, int64(most))
	case c.Quota != nil && *c.Quota > 0 && *b > uint64(*c.Quota):
		v.bad(path+".burst", "%d µs is more than the quota of %d", *b, *c.Quota)
	}
	if s := c.Shares; s != nil && *s != 0 && (*s < 2 || *s > 262144) {
		v.soft(path+".shares", "%d is out of range: 2 to 262144", *s)
	}
	idle := c.Idle != nil && *c.Idle == 1
	if c.Idle != nil && !idle && *c.Idle != 0 {
		v.bad(path+".idle", "%d is neither 0 nor 1", *c.Idle)
	}
	if idle && c.Shares != nil && *c.Shares != 0 { // sched_group_set_shares: EINVAL in an idle group
		v.soft(path+".shares", "an idle group has no shares")
	}
	v.list(path+".cpus", c.Cpus, maxCPU)
	v.list(path+".mems", c.Mems, maxNode)
}

// pids: "0 is a valid limit value" (config-linux.md). More tasks than the
// kernel can have is no limit, and no problem.
func (v *validator) pids(p *specs.LinuxPids) {
	if p.Limit != nil && *p.Limit < -1 {
		v.bad(resources+".pids.limit", "%d is negative; -1 is unlimited", *p.Limit)
	}
}
