// Package pidfd refers to Linux processes by file descriptor, as pidfd_open(2)
// describes, so that a signal or a wait never reaches a process that merely
// got the same number.
//
// Opening a process by its number is free of a race only while the number
// cannot be used again: for a child that nobody has waited for yet. Take the
// descriptor that clone3(2) returned where there is one.
//
// The package exists on Linux alone. Linux 5.4 is the oldest that has all of it.
package pidfd
