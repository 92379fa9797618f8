// Package cgroups holds a process tree in cgroup v2 with limits and counters.
//
// A [Group] is one of two things: a transient scope of a systemd manager, the
// system's or the user's, or a directory that pkshim makes in a cgroup file
// system that is its own to manage. Both have the workload in a leaf of its
// own, payload, where the limits are written and the counters read. What of
// pkshim must be inside of the scope or cgroup is in a second leaf, supervisor:
// a cgroup that passes controllers on to children cannot hold processes itself
// (cgroups(7), "no internal processes" rule).
//
// Not guaranteed:
//   - A limit below the kernel's grain. Sizes are rounded down to pages, a CPU
//     quota up to 1 % of a CPU; [Settings] shows the values that are kept.
//   - Limits without their controller: a level above must delegate it. The
//     answer is an error, never a weaker limit.
//   - A weight against groups elsewhere: it counts among siblings alone.
//   - Counters after the group is closed, or that the kernel does not have: they
//     are nil, with the reason.
//   - Cgroup v1, device filters and network classes.
//
// Only the manager of a subtree writes to it. systemd is that for all but what
// it was asked to delegate (Delegate=yes), so pkshim asks it for a unit
// anywhere else, reads back where the unit's cgroup is, and gives systemd the
// same values as properties: it resets what it knows differently, in a
// daemon-reload for instance.
//
// github.com/containerd/cgroups/v3 is used neither to write limits nor to read
// counters. In v3.1.3 a missing file reads as 0, so that "none" and "unknown"
// are one; a quota of -1 is written literally, one without period is dropped,
// shares of 0 become a weight of 0, a pids limit of 0 is no limit, unified and
// idle are passed over; and its scopes are never delegated, always of the
// system's manager and always in system.slice.
//
// The files without _linux in their names are pure and run everywhere: they
// convert limits, parse the kernel's files and check names.
//
// Sources: cgroups(7), https://docs.kernel.org/admin-guide/cgroup-v2.html,
// https://systemd.io/CGROUP_DELEGATION, systemd.resource-control(5).
package cgroups
