package spec

import "time"

// ReportVersion is the version of the report's format. A reader of version n
// may meet new properties in version n, never a changed meaning.
const ReportVersion = 1

// A Report is what one run did, whole and truthful. Its JSON schema is
// [ReportSchema].
type Report struct {
	Version int    `json:"version"`
	ID      string `json:"id"`

	// Mechanism held the tree; empty if none was opened.
	Mechanism Mechanism `json:"mechanism,omitempty"`
	// Candidates are the mechanisms that were considered, best first.
	Candidates []Candidate `json:"candidates"`
	// Cgroup is the workload's cgroup, as /proc/PID/cgroup spells it.
	Cgroup string `json:"cgroup,omitempty"`
	// Unit is the systemd unit around it.
	Unit string `json:"unit,omitempty"`
	// Pid is the workload's first process, null if none was started.
	Pid *int `json:"pid"`

	CreatedAt  time.Time  `json:"createdAt"`  // pkshim began
	StartedAt  *time.Time `json:"startedAt"`  // the program was executed
	ExitedAt   *time.Time `json:"exitedAt"`   // its first process ended
	FinishedAt time.Time  `json:"finishedAt"` // everything was cleaned up

	Exit  ExitStatus `json:"exit"`
	Stats *Stats     `json:"stats"`
	// Leftovers are the processes that outlived the first one.
	Leftovers Leftovers `json:"leftovers"`
	// LimitsFired tells which limits acted, from kernel counters alone.
	LimitsFired LimitsFired `json:"limitsFired"`
	Cleanup     Cleanup     `json:"cleanup"`
	// AbruptCleanup is what a SIGKILL of pkshim would have done to the tree.
	AbruptCleanup AbruptCleanup `json:"abruptCleanup"`
	// Signals are the signals that pkshim received and passed on.
	Signals []ForwardedSignal `json:"signals,omitempty"`
	// Warnings are things that were done differently from what was asked,
	// where OCI demands that they are not errors.
	Warnings []string `json:"warnings,omitempty"`
	// Error is why pkshim could not do what was asked.
	Error string `json:"error,omitempty"`
}

// Leftovers are the members that were still there when the first process had
// ended, and were killed.
type Leftovers struct {
	// Killed is how many were seen, null if they could not be counted.
	Killed *int `json:"killed"`
	// Processes names the first of them.
	Processes []Member `json:"processes,omitempty"`
}

// A Member is one process of a group. Arguments and environment are never read.
type Member struct {
	Pid  int    `json:"pid"`
	Name string `json:"name,omitempty"` // comm, at most 15 bytes
}

// LimitsFired says for each limit whether it acted; null means that the
// kernel's counter could not be read.
type LimitsFired struct {
	Memory *bool `json:"memory"` // memory.max was hit, or the OOM killer came
	Pids   *bool `json:"pids"`   // a fork was refused
	CPU    *bool `json:"cpu"`    // the quota throttled the tree
}

// Cleanup is what was found after everything was killed.
type Cleanup struct {
	// Empty says that the kernel confirmed that no member is left.
	Empty bool `json:"empty"`
	// Removed says that the kernel object, cgroup or unit, is gone.
	Removed bool `json:"removed"`
	// Error is what went wrong, if anything.
	Error string `json:"error,omitempty"`
}

// A ForwardedSignal is one signal that reached pkshim and was passed on.
type ForwardedSignal struct {
	Signal string    `json:"signal"`
	At     time.Time `json:"at"`
	// Error is why it did not arrive, if it did not.
	Error string `json:"error,omitempty"`
}
