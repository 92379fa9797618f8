// Package nofile knows the limit of open files that this process was started
// with.
//
// Package syscall raises the soft RLIMIT_NOFILE of every Go program when it is
// initialised, and gives only its own StartProcess the original to restore
// (go.dev/issue/46279). A workload must not see the raised limit: select(2)
// breaks beyond 1024 descriptors. This package imports nothing that imports
// syscall, and packages that are ready are initialised in the order of their
// import paths (Go specification, "Program initialization"), so it reads the
// limit first.
package nofile

// original is {soft, hard}; both zero where it could not be read.
var original = read()

// Original returns the soft and hard RLIMIT_NOFILE of this process as it was
// started; ok is false where that is not known.
func Original() (soft, hard uint64, ok bool) {
	return original[0], original[1], original[1] != 0
}
