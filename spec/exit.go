package spec

// A Reason says why a workload ended. The authority is what the kernel told
// the one process that waited; an end that nobody saw is [ReasonUnknown].
type Reason string

const (
	// ReasonExited: the first process returned an exit code.
	ReasonExited Reason = "exited"
	// ReasonSignaled: the first process was killed by a signal.
	ReasonSignaled Reason = "signaled"
	// ReasonOOM: the first process was killed by the kernel's OOM killer, as
	// the group's own memory.events counts it.
	ReasonOOM Reason = "oom"
	// ReasonTimeout: the deadline passed and pkshim ended the tree.
	ReasonTimeout Reason = "timeout"
	// ReasonIdleTimeout: the workload was silent for too long and pkshim ended the tree.
	ReasonIdleTimeout Reason = "idle_timeout"
	// ReasonCanceled: pkshim was asked to stop and ended the tree.
	ReasonCanceled Reason = "canceled"
	// ReasonOwnerDied: the tree was ended because its owner had died.
	ReasonOwnerDied Reason = "owner_died"
	// ReasonNotStarted: the workload's program never ran.
	ReasonNotStarted Reason = "not_started"
	// ReasonUnknown: the workload ended and nobody saw how.
	ReasonUnknown Reason = "unknown"
)

// Exit codes of pkshim itself, the convention of timeout(1), env(1) and the
// shells. Any other code is the workload's own, or 128 plus its signal.
const (
	CodeTimeout       = 124 // the deadline passed
	CodeCannot        = 125 // pkshim could not do what was asked
	CodeNotExecutable = 126 // the program is there and cannot be executed
	CodeNotFound      = 127 // the program was not found
)

// An ExitStatus is how the workload's first process ended.
type ExitStatus struct {
	// Reason is why it ended.
	Reason Reason `json:"reason"`
	// Code is the exit code, null unless the process returned one.
	Code *int `json:"code"`
	// Signal is the number of the signal that killed it, null if none did.
	Signal *int `json:"signal"`
	// SignalName is the signal's name, such as "SIGKILL".
	SignalName string `json:"signalName,omitempty"`
	// CoreDumped says that the kernel wrote a core dump (wait(2), WCOREDUMP).
	CoreDumped bool `json:"coreDumped"`
	// Message explains the end to a person where reason and code do not.
	Message string `json:"message,omitempty"`
}

// ShellCode is the exit code of `pkshim run` for this end: the workload's own
// code, 128+n for signal n, 124 for a deadline, and 125 for an end that nobody
// saw or a workload that never ran.
func (e *ExitStatus) ShellCode() int {
	switch {
	case e.Reason == ReasonTimeout || e.Reason == ReasonIdleTimeout:
		return CodeTimeout
	case e.Code != nil:
		return *e.Code
	case e.Signal != nil:
		return 128 + *e.Signal
	}
	return CodeCannot
}
