// Package runtime runs one workload in a group of its own and reports
// truthfully what became of it.
//
// One run is: probe the host, choose a mechanism (a pure function of what was
// wanted and found), open the group with its limits, start the workload in it,
// wait, kill what it left, read the last counters, close the group, report.
// Calls go down and values come back; there is no registry, no SIGCHLD handler
// and no callback.
//
// Not guaranteed: a process that the workload asked a daemon to start (cron,
// docker, systemd-run) is not a member. A member in uninterruptible sleep
// cannot be killed; the report then says that the cleanup is not confirmed.
package runtime
