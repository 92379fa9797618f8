package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/cgroups"
	"github.com/pkshim/pkshim/pgroup/spawn"
	"github.com/pkshim/pkshim/spec"
)

// newCommand turns the spec's process into a command, with a warning for
// everything that OCI wants done differently without being an error.
func newCommand(o *Options) (*spawn.Command, []string, error) {
	p := o.Spec.Process
	c := &spawn.Command{
		Args: p.Args, Env: p.Env, Dir: p.Cwd, Stdio: o.Stdio,
		ProcessGroup: spawn.NewProcessGroup, NoNewPrivileges: p.NoNewPrivileges, OOMScoreAdj: p.OOMScoreAdj,
	}
	if o.Terminal {
		c.ProcessGroup = 0
	}
	var warnings []string
	for _, part := range []func(*spawn.Command, *spec.Spec) ([]string, error){setUser, setCapabilities, setRlimits, setScheduling} {
		w, err := part(c, o.Spec)
		if err != nil {
			return nil, nil, err
		}
		warnings = append(warnings, w...)
	}
	return c, warnings, nil
}

func setUser(c *spawn.Command, s *spec.Spec) ([]string, error) {
	u := s.Process.User
	c.Umask = u.Umask
	if s.InheritUser {
		return nil, nil
	}
	own, err := effectiveCapabilities()
	if err != nil {
		return nil, err
	}
	same := int(u.UID) == os.Getuid() && int(u.GID) == os.Getgid()
	if same && own&(1<<unix.CAP_SETGID) == 0 && len(u.AdditionalGids) == 0 {
		// Nobody can drop groups here: setgroups(2) needs CAP_SETGID.
		groups, err := os.Getgroups()
		if err != nil {
			return nil, err
		}
		if len(groups) > 0 {
			return []string{fmt.Sprintf("process.user: the caller's supplementary groups %d are kept: dropping them needs CAP_SETGID", groups)}, nil
		}
		return nil, nil
	}
	c.User = &spawn.User{UID: u.UID, GID: u.GID, Groups: u.AdditionalGids}
	return nil, nil
}

// capabilitySet reads this thread's sets as capget(2) gives them.
func capabilitySet() (effective, permitted, inheritable uint64, err error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, 0, 0, fmt.Errorf("read own capabilities: %w", os.NewSyscallError("capget", err))
	}
	join := func(lo, hi uint32) uint64 { return uint64(hi)<<32 | uint64(lo) }
	return join(data[0].Effective, data[1].Effective), join(data[0].Permitted, data[1].Permitted), join(data[0].Inheritable, data[1].Inheritable), nil
}

func effectiveCapabilities() (uint64, error) {
	e, _, _, err := capabilitySet()
	return e, err
}

// setCapabilities takes what this process can grant. OCI (config.md,
// process.capabilities): what cannot be granted is a warning, not an error.
func setCapabilities(c *spawn.Command, s *spec.Spec) ([]string, error) {
	want := s.Process.Capabilities
	if want == nil {
		return nil, nil
	}
	effective, permitted, inheritable, err := capabilitySet()
	if err != nil {
		return nil, err
	}
	bounding, err := spawn.BoundingSet()
	if err != nil {
		return nil, err
	}
	g := granter{}
	caps := &spawn.Capabilities{}
	caps.Bounding = g.grant("bounding", want.Bounding, bounding)
	caps.Permitted = g.grant("permitted", want.Permitted, permitted)
	caps.Effective = g.grant("effective", want.Effective, caps.Permitted)
	caps.Inheritable = g.grant("inheritable", want.Inheritable, (permitted|inheritable)&bounding|inheritable)
	caps.Ambient = g.grant("ambient", want.Ambient, caps.Permitted&caps.Inheritable)
	if effective&(1<<unix.CAP_SETPCAP) == 0 && bounding&^caps.Bounding != 0 && s.Process.NoNewPrivileges {
		caps.Bounding = bounding
		g.warnings = append(g.warnings, "process.capabilities.bounding: the caller's bounding set is kept: dropping from it needs CAP_SETPCAP; with noNewPrivileges it has no effect")
	}
	c.Capabilities = caps
	return g.warnings, nil
}

// A granter turns names into sets and notes what is not to be had.
type granter struct{ warnings []string }

func (g *granter) grant(set string, names []string, available uint64) uint64 {
	var bits uint64
	var missing []string
	for _, name := range names {
		n, known := spec.CapabilityNumber(name)
		if !known || available&(1<<n) == 0 {
			missing = append(missing, name)
			continue
		}
		bits |= 1 << n
	}
	if len(missing) > 0 {
		g.warnings = append(g.warnings, fmt.Sprintf("process.capabilities.%s: pkshim cannot grant %s", set, strings.Join(missing, ", ")))
	}
	return bits
}

// rlimitTypes are the names of getrlimit(2).
func rlimitType(name string) (int, bool) {
	n, ok := map[string]int{
		"RLIMIT_CPU": unix.RLIMIT_CPU, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_DATA": unix.RLIMIT_DATA,
		"RLIMIT_STACK": unix.RLIMIT_STACK, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_RSS": unix.RLIMIT_RSS,
		"RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
		"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS, "RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING,
		"RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE, "RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO,
		"RLIMIT_RTTIME": unix.RLIMIT_RTTIME,
	}[name]
	return n, ok
}

func setRlimits(c *spawn.Command, s *spec.Spec) ([]string, error) {
	for i, r := range s.Process.Rlimits {
		n, ok := rlimitType(r.Type)
		if !ok {
			return nil, fmt.Errorf("process.rlimits[%d].type: unknown resource %q", i, r.Type)
		}
		c.Rlimits = append(c.Rlimits, spawn.Rlimit{Type: n, Soft: r.Soft, Hard: r.Hard})
	}
	return nil, nil
}

func setScheduling(c *spawn.Command, s *spec.Spec) ([]string, error) {
	p := s.Process
	if p.IOPriority != nil {
		class, ok := map[specs.IOPriorityClass]int{specs.IOPRIO_CLASS_RT: 1, specs.IOPRIO_CLASS_BE: 2, specs.IOPRIO_CLASS_IDLE: 3}[p.IOPriority.Class]
		if !ok {
			return nil, fmt.Errorf("process.ioPriority.class: unknown class %q", p.IOPriority.Class)
		}
		prio := class<<13 | p.IOPriority.Priority
		c.IOPriority = &prio
	}
	if p.ExecCPUAffinity != nil {
		// The process is born in its cgroup, so "initial" (while it is moved
		// there) and "final" are one moment; the latter is what stays.
		list := p.ExecCPUAffinity.Final
		if list == "" {
			list = p.ExecCPUAffinity.Initial
		}
		mask, err := cgroups.CPUMask(list)
		if err != nil {
			return nil, fmt.Errorf("process.execCPUAffinity: %w", err)
		}
		mask = append(mask, make([]byte, (8-len(mask)%8)%8)...)
		for ; len(mask) > 0; mask = mask[8:] {
			c.Affinity = append(c.Affinity, binary.LittleEndian.Uint64(mask))
		}
	}
	if p.Scheduler == nil {
		return nil, nil
	}
	var err error
	c.Scheduler, err = scheduler(p.Scheduler)
	return nil, err
}

// scheduler translates the names of sched(7).
func scheduler(s *specs.Scheduler) (*spawn.Scheduler, error) {
	policy, ok := map[specs.LinuxSchedulerPolicy]uint32{
		specs.SchedOther: unix.SCHED_NORMAL, specs.SchedFIFO: unix.SCHED_FIFO, specs.SchedRR: unix.SCHED_RR,
		specs.SchedBatch: unix.SCHED_BATCH, specs.SchedIdle: unix.SCHED_IDLE, specs.SchedDeadline: unix.SCHED_DEADLINE,
	}[s.Policy]
	if !ok {
		return nil, fmt.Errorf("process.scheduler.policy: Linux has no %q", s.Policy)
	}
	flags := map[specs.LinuxSchedulerFlag]uint64{
		specs.SchedFlagResetOnFork: unix.SCHED_FLAG_RESET_ON_FORK, specs.SchedFlagReclaim: unix.SCHED_FLAG_RECLAIM,
		specs.SchedFlagDLOverrun: unix.SCHED_FLAG_DL_OVERRUN, specs.SchedFlagKeepPolicy: unix.SCHED_FLAG_KEEP_POLICY,
		specs.SchedFlagKeepParams: unix.SCHED_FLAG_KEEP_PARAMS, specs.SchedFlagUtilClampMin: unix.SCHED_FLAG_UTIL_CLAMP_MIN,
		specs.SchedFlagUtilClampMax: unix.SCHED_FLAG_UTIL_CLAMP_MAX,
	}
	a := &spawn.Scheduler{Policy: policy, Nice: s.Nice, Priority: uint32(s.Priority), Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period}
	for _, f := range s.Flags {
		bit, ok := flags[f]
		if !ok {
			return nil, fmt.Errorf("process.scheduler.flags: unknown flag %q", f)
		}
		a.Flags |= bit
	}
	return a, nil
}

// isExecFailure tells whether err is that the program itself could not be
// executed, and whether that was because it is not there.
func isExecFailure(err error) (notFound, ok bool) {
	var se *spawn.StartError
	if !errors.As(err, &se) || !se.Exec {
		return false, false
	}
	return errors.Is(se.Err, unix.ENOENT) || errors.Is(se.Err, unix.ENOTDIR), true
}
