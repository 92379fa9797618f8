// The functions that fork_linux.go declares without a body are in the runtime;
// the compiler accepts that only in a package with an assembly file.
