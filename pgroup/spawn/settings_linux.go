package spawn

import (
	"errors"
	"fmt"
	"math/bits"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/spawn/nofile"
)

// scheduling comes before the credentials are dropped: real-time classes need
// CAP_SYS_NICE.
func (p *program) scheduling(c *Command) {
	if len(c.Affinity) > 0 {
		p.hold = append(p.hold, c.Affinity)
		p.add("set the CPU affinity", unix.SYS_SCHED_SETAFFINITY, 0, uintptr(8*len(c.Affinity)), uintptr(unsafe.Pointer(&c.Affinity[0])))
	}
	if s := c.Scheduler; s != nil {
		attr := &unix.SchedAttr{
			Size: unix.SizeofSchedAttr, Policy: s.Policy, Flags: s.Flags, Nice: s.Nice, Priority: s.Priority,
			Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period,
		}
		p.add(fmt.Sprintf("set scheduling policy %d", s.Policy), unix.SYS_SCHED_SETATTR, 0, ref(p, attr), 0)
	}
	if c.IOPriority != nil {
		const whoProcess = 1 // IOPRIO_WHO_PROCESS, ioprio_set(2)
		p.add(fmt.Sprintf("set I/O priority %#x", *c.IOPriority), unix.SYS_IOPRIO_SET, whoProcess, 0, uintptr(*c.IOPriority))
	}
}

// limits sets oom_score_adj and the rlimits, in this order: RLIMIT_NOFILE 0
// would keep the file of the former from being opened.
func (p *program) limits(c *Command) {
	if c.OOMScoreAdj != nil {
		p.oomScoreAdj(*c.OOMScoreAdj, false)
	}
	hasNofile := false
	for _, r := range c.Rlimits {
		p.rlimit(r, fmt.Sprintf("set resource limit %d to %d:%d", r.Type, r.Soft, r.Hard))
		hasNofile = hasNofile || r.Type == unix.RLIMIT_NOFILE
	}
	if soft, hard, ok := nofile.Original(); ok && !hasNofile {
		p.rlimit(Rlimit{Type: unix.RLIMIT_NOFILE, Soft: soft, Hard: hard}, "restore the limit of open files")
	}
}

// oomScoreAdj writes the score; optional: if that is allowed.
func (p *program) oomScoreAdj(score int, optional bool) {
	path, value := []byte("/proc/self/oom_score_adj\x00"), []byte(fmt.Sprint(score))
	name := fmt.Sprintf("set oom_score_adj to %d (lowering it needs CAP_SYS_RESOURCE)", score)
	at := unix.AT_FDCWD
	open := p.add(name, unix.SYS_OPENAT, uintptr(at), ref(p, &path[0]), unix.O_WRONLY|unix.O_CLOEXEC)
	open.keep, open.optional = true, optional
	write := p.add(name, unix.SYS_WRITE, 0, ref(p, &value[0]), uintptr(len(value)))
	write.use, write.optional = 1, optional
}

func (p *program) rlimit(r Rlimit, name string) {
	p.add(name, unix.SYS_PRLIMIT64, 0, uintptr(r.Type), ref(p, &unix.Rlimit{Cur: r.Soft, Max: r.Hard}), 0)
}

// credentials drops the bounding set, then the ids, then the other capability
// sets: each step needs what the next takes away.
func (p *program) credentials(c *Command) error {
	if c.Capabilities != nil {
		if err := p.bounding(c.Capabilities.Bounding); err != nil {
			return err
		}
		if c.User != nil {
			// setresuid(2) from 0 clears the permitted set otherwise. The flag
			// is cleared at execve (capabilities(7)).
			p.add("keep capabilities over the change of user", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
		}
	}
	if u := c.User; u != nil {
		p.user(u)
	}
	if c.Capabilities != nil {
		p.capabilities(c.Capabilities)
	}
	return nil
}

func (p *program) user(u *User) {
	if !u.KeepGroups {
		var groups uintptr
		if len(u.Groups) > 0 {
			p.hold = append(p.hold, u.Groups)
			groups = uintptr(unsafe.Pointer(&u.Groups[0]))
		}
		p.add(fmt.Sprintf("set supplementary groups %d", u.Groups), unix.SYS_SETGROUPS, uintptr(len(u.Groups)), groups)
	}
	gid, uid := uintptr(u.GID), uintptr(u.UID)
	p.add(fmt.Sprintf("set group %d", u.GID), unix.SYS_SETRESGID, gid, gid, gid)
	p.add(fmt.Sprintf("set user %d", u.UID), unix.SYS_SETRESUID, uid, uid, uid)
}

// bounding drops from the bounding set what is in this process's and not in keep.
func (p *program) bounding(keep uint64) error {
	have, err := BoundingSet()
	if err != nil {
		return err
	}
	for drop := have &^ keep; drop != 0; drop &= drop - 1 {
		n := uintptr(bits.TrailingZeros64(drop))
		p.add(fmt.Sprintf("drop capability %d from the bounding set (needs CAP_SETPCAP)", n), unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, n)
	}
	return nil
}

func (p *program) capabilities(s *Capabilities) {
	hdr := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := &[2]unix.CapUserData{
		{Effective: uint32(s.Effective), Permitted: uint32(s.Permitted), Inheritable: uint32(s.Inheritable)},
		{Effective: uint32(s.Effective >> 32), Permitted: uint32(s.Permitted >> 32), Inheritable: uint32(s.Inheritable >> 32)},
	}
	p.add("set capabilities", unix.SYS_CAPSET, ref(p, hdr), ref(p, data))
	p.add("clear ambient capabilities", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL)
	for raise := s.Ambient; raise != 0; raise &= raise - 1 {
		n := uintptr(bits.TrailingZeros64(raise))
		p.add(fmt.Sprintf("raise ambient capability %d", n), unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, n)
	}
}

// BoundingSet reads the bounding set of the calling thread.
func BoundingSet() (uint64, error) {
	var set uint64
	for n := uintptr(0); n < 64; n++ {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, n, 0, 0, 0)
		switch {
		case errors.Is(err, unix.EINVAL):
			return set, nil // beyond the last capability of this kernel
		case err != nil:
			return 0, fmt.Errorf("read the capability bounding set: %w", err)
		}
		set |= uint64(has) << n
	}
	return set, nil
}
