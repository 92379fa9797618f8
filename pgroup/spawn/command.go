package spawn

import (
	"context"
	"fmt"
	"syscall"

	"github.com/pkshim/pkshim/pgroup/pidfd"
)

// A Command is a process to start. The zero value of each field leaves that
// property as this process has it.
type Command struct {
	// Args is the program and its arguments. A program without a slash is
	// looked for in the PATH of Env, by the child, as execvp(3) does it: with
	// the child's credentials and directory.
	Args []string
	// Path is the program's file, if that is not what Args[0] names. Nothing
	// is searched then.
	Path string
	// Env is the whole environment. Nil is an empty environment.
	Env []string
	// Dir is the working directory, entered with the child's credentials.
	Dir string
	// Stdio are the descriptors that become 0, 1 and 2. The descriptors are
	// passed on as they are. No other descriptor reaches the program.
	Stdio [3]int
	// Group is the descriptor of the cgroup v2 directory in which the process
	// is born. 0 and below: this process's own.
	Group int
	// ProcessGroup is the number of the process group to join, of the same
	// session. 0: the one of the process that starts it. NewProcessGroup: one of its own.
	ProcessGroup int
	// ParentDeathSignal is delivered when the thread that started the process
	// ends (PR_SET_PDEATHSIG): call Start from a locked thread.
	ParentDeathSignal int

	User         *User
	Capabilities *Capabilities
	// NoNewPrivileges sets PR_SET_NO_NEW_PRIVS.
	NoNewPrivileges bool
	Umask           *uint32
	Rlimits         []Rlimit
	OOMScoreAdj     *int
	IOPriority      *int // as ioprio_set(2) takes it: class<<13 | level
	Scheduler       *Scheduler
	Affinity        []uint64 // CPU mask, bit 0 of word 0 is CPU 0
}

// NewProcessGroup as Command.ProcessGroup makes the process a leader.
const NewProcessGroup = -1

// A Process is a process that was started, held by identity and not by number.
type Process interface {
	Pid() int
	// Signal sends sig to the process alone. The error wraps ESRCH if it is gone.
	Signal(sig syscall.Signal) error
	// Wait waits for its end. One caller waits, once.
	Wait(ctx context.Context) (*pidfd.Exit, error)
	// Close releases the handle; the process goes on.
	Close() error
}

// User is who the process runs as.
type User struct {
	UID, GID uint32
	// Groups are the supplementary groups; KeepGroups keeps this process's.
	Groups     []uint32
	KeepGroups bool
}

// Capabilities are the five sets before execve, a bit each. What the program
// has after it follows from capabilities(7): a root program is given
// inheritable and bounding, any other one its ambient set.
type Capabilities struct {
	Bounding, Permitted, Effective, Inheritable, Ambient uint64
}

// Rlimit is one resource limit. Type is the kernel's number, RLIMIT_*.
type Rlimit struct {
	Type       int
	Soft, Hard uint64
}

// Scheduler is what sched_setattr(2) sets, times in nanoseconds.
type Scheduler struct {
	Policy                    uint32
	Flags                     uint64
	Nice                      int32
	Priority                  uint32
	Runtime, Deadline, Period uint64
}

// A StartError says which step of a start did not work. The workload's program
// has not run.
type StartError struct {
	// Step names what was done, with its operand: "execute /bin/true".
	Step string
	// Exec says that the step was the execution of the program itself; the
	// error then tells whether it is missing (ENOENT) or cannot be run.
	Exec bool
	Err  error
}

func (e *StartError) Error() string { return fmt.Sprintf("%s: %v", e.Step, e.Err) }
func (e *StartError) Unwrap() error { return e.Err }
