package spec

// A Mechanism is a way of holding a process tree together. The names are part
// of the report's format and never change meaning.
type Mechanism string

const (
	// MechanismAuto asks for the strongest mechanism the host has.
	MechanismAuto Mechanism = "auto"
	// MechanismSystemd is a transient scope of a systemd manager.
	MechanismSystemd Mechanism = "systemd"
	// MechanismCgroupfs is a cgroup v2 directory managed by pkshim itself.
	MechanismCgroupfs Mechanism = "cgroupfs"
	// MechanismJobObject is a Windows Job Object.
	MechanismJobObject Mechanism = "jobobject"
	// MechanismPgroup is a tree of processes held by a subreaper, without a
	// kernel object around it and so without limits.
	MechanismPgroup Mechanism = "pgroup"
)

// A Candidate is one mechanism that was considered and why it was taken or
// passed over.
type Candidate struct {
	Mechanism Mechanism `json:"mechanism"`
	Taken     bool      `json:"taken"`
	Reason    string    `json:"reason"`
}

// AbruptCleanup says what happens to the workload when pkshim itself is
// killed with SIGKILL.
type AbruptCleanup string

const (
	// AbruptWholeTree: every process of the tree dies with its owner.
	AbruptWholeTree AbruptCleanup = "whole_tree"
	// AbruptDirectChildOnly: only the first process dies with its owner.
	AbruptDirectChildOnly AbruptCleanup = "direct_child_only"
	// AbruptNone: the tree outlives its owner.
	AbruptNone AbruptCleanup = "none"
)
