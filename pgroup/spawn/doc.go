// Package spawn starts a process with everything about it set before its first
// instruction: cgroup, credentials, capabilities, limits, scheduling, umask,
// directory.
//
// On Linux the new process is a clone3(2) of this one that runs nothing but a
// list of system calls, prepared by the parent, and ends in execve(2). That is
// one place for every setting, in the order the kernel needs, in the child
// itself: no throw-away threads, no ptrace stop, no second program. The parent
// does not share memory with the child (no CLONE_VFORK), so a child born into
// a frozen cgroup stops the child alone and not the Go runtime of the parent.
// The price is the copy of the page tables and the faults on the pages that the
// parent writes next: a start takes about twice as long as os.StartProcess, some
// tenths of a millisecond more (BenchmarkStart).
//
// The same primitive makes a [Guard]: a process of a few system calls that
// outlives its owner and ends a group.
//
// It is not a general replacement for os/exec: there are no pipes to copy and
// no search on Windows.
package spawn
