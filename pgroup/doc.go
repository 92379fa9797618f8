// Package pgroup holds a process tree together without a kernel object around
// it: the fallback for hosts that give no cgroup.
//
// What it does not hold or do, first:
//   - Work that a member hands to a daemon by IPC (cron, docker, systemd-run,
//     at) is the daemon's, not the group's.
//   - A member that became another user (sudo, su) may not be signalled by an
//     unprivileged keeper. That is an error that names it, never success.
//   - If owner and keeper are killed by SIGKILL at the same instant, or the
//     keeper alone is, the processes that [Group.Start] started die
//     (PR_SET_PDEATHSIG) and their descendants escape. The workload can do the
//     latter where it runs as the owner's user.
//   - There are no limits and no freezing, and no counters except for
//     processor time and the largest single process.
//
// On Linux the owner, this process, starts a keeper: its own program, executed
// again. The keeper starts the workload and is its subreaper
// (PR_SET_CHILD_SUBREAPER, Linux 3.4), so that a process whose parent died
// becomes a child of the keeper, whatever sessions and process groups it made.
// The tree is the keeper's descendants: all of them can be listed, each is
// pinned by pidfd before a signal, and that there are none left is one answer
// of waitid(2), not a guess. The keeper watches the owner by pidfd; when the
// owner has died, also by SIGKILL, it kills the whole tree and ends.
//
// The owner itself is not changed: it is no subreaper, has no signal handlers,
// and its children remain its own. It must be Linux 5.11 or newer, with /proc.
//
// On other systems [New] returns an error that wraps errors.ErrUnsupported.
package pgroup
