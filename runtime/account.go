package runtime

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/pkshim/pkshim/cgroups"
	"github.com/pkshim/pkshim/pgroup/pidfd"
	"github.com/pkshim/pkshim/spec"
)

// account reads the last counters and decides why the workload ended. It comes
// when the group is empty and before it is removed.
func (r *run) account(exit *pidfd.Exit, waitErr error) {
	stats, err := r.group.Stats()
	if err != nil {
		r.warn("read the counters: %v", err)
	}
	if stats != nil && exit != nil {
		fillFromRusage(stats, exit, peakRSS())
	}
	r.report.Stats = stats
	if stats != nil {
		r.report.LimitsFired = cgroups.Fired(stats)
	}
	r.report.Exit = exitStatus(exit, waitErr, r.cause, stats)
}

// exitStatus is pure: what the kernel told, why pkshim acted, what was counted.
func exitStatus(exit *pidfd.Exit, waitErr error, cause spec.Reason, stats *spec.Stats) spec.ExitStatus {
	var s spec.ExitStatus
	switch {
	case exit == nil:
		s.Reason = spec.ReasonUnknown
		s.Message = "nobody saw how the first process ended"
		if waitErr != nil {
			s.Message = fmt.Sprintf("%s: %v", s.Message, waitErr)
		}
	case exit.Signal != 0:
		n := int(exit.Signal)
		s.Reason, s.Signal, s.CoreDumped = spec.ReasonSignaled, &n, exit.CoreDumped
		s.SignalName = signalName(exit.Signal)
		if exit.Signal == syscall.SIGKILL && cause == "" && oomKills(stats) > 0 {
			s.Reason = spec.ReasonOOM
			s.Message = fmt.Sprintf("the kernel's OOM killer killed %d of its processes", oomKills(stats))
		}
	default:
		code := exit.Code
		s.Reason, s.Code = spec.ReasonExited, &code
	}
	if cause != "" && exit != nil {
		s.Reason = cause
	}
	return s
}

func oomKills(s *spec.Stats) uint64 {
	if s == nil || s.Memory == nil || s.Memory.Events == nil || s.Memory.Events.OOMKill == nil {
		return 0
	}
	return *s.Memory.Events.OOMKill
}

// fillFromRusage gives the memory peak that no controller measured the one
// number there is, under its own name. It says nothing unless it is larger than
// pkshim: a process begins as a copy of pkshim, and the kernel counts that.
func fillFromRusage(s *spec.Stats, exit *pidfd.Exit, own uint64) {
	if s.Memory != nil || exit.MaxRSS <= own {
		return
	}
	s.Memory = &spec.MemoryStats{Peak: &exit.MaxRSS}
	if s.Sources == nil {
		s.Sources = map[string]string{}
	}
	s.Sources["memory.peak"] = "waitid(2) ru_maxrss: the largest single process of those that were waited for"
	if why, ok := s.Unmeasured["memory"]; ok {
		delete(s.Unmeasured, "memory")
		for _, n := range []string{"current", "swapCurrent", "swapPeak", "events"} {
			s.Unmeasured["memory."+n] = why
		}
	}
}

// processName is comm, or "" if the process is gone.
func processName(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

// A CanceledError is a signal that ended a run before its program was started.
type CanceledError struct{ Signal syscall.Signal }

func (e *CanceledError) Error() string {
	return fmt.Sprintf("canceled by %s before the program was started", signalName(e.Signal))
}

// ExitCode is the exit code of `pkshim run` for a finished run: the workload's
// own, 128+n for signal n, 124 for a deadline, 127 and 126 for a program that
// was not found or cannot be executed, else 125.
func ExitCode(report *spec.Report, err error) int {
	if err == nil {
		return report.Exit.ShellCode()
	}
	var canceled *CanceledError
	if errors.As(err, &canceled) {
		return 128 + int(canceled.Signal)
	}
	if notFound, ok := isExecFailure(err); ok {
		if notFound {
			return spec.CodeNotFound
		}
		return spec.CodeNotExecutable
	}
	return spec.CodeCannot
}
