package integration

import (
	"io"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A branch is how one process of a tree came to be.
type branch struct {
	setsid     bool // in a session of its own
	orphan     bool // forked twice, its parent has ended
	ignoreTerm bool
}

// branchOf makes all kinds equally frequent.
func branchOf(i int) branch {
	return branch{setsid: i&1 != 0, orphan: i&2 != 0, ignoreTerm: i%3 == 0}
}

// deaf is how many processes of a tree of n ignore SIGTERM.
func deaf(n int) int {
	count := 0
	for i := 1; i < n; i++ {
		if branchOf(i).ignoreTerm {
			count++
		}
	}
	return count
}

// tree N makes a tree of N processes, itself included. All of them hold its
// standard streams, and write a byte when they are there: so the end of the
// output is the death of the last one. It exits when its input ends.
func tree(args []string) {
	f := newForker()
	for i := 1; i < number(args[0]); i++ {
		f.grow(branchOf(i))
	}
	if _, err := os.Stdout.Write([]byte{'.'}); err != nil {
		fatal("%v", err)
	}
	io.Copy(io.Discard, os.Stdin)
}

// forks N starts children until the kernel refuses one, or there are N, and
// prints the error.
func forks(args []string) {
	f := newForker()
	for range number(args[0]) {
		if err := f.grow(branch{}); err != nil {
			os.Stdout.WriteString(err.Error() + "\n")
			return
		}
	}
	os.Stdout.WriteString("never refused\n")
}

// A forker forks without executing anything, two hundred times in a moment,
// also where an emulated processor needs a second for ten programs. Between
// fork and death the child makes raw system calls only: all memory that they
// need is here.
type forker struct {
	all, none uint64 // signal sets
	standard  sigaction
	ignore    sigaction
	limit     unix.Itimerval
	byte      [1]byte
}

// A sigaction is the kernel's, which amd64 and arm64 have alike.
type sigaction struct{ handler, flags, restorer, mask uintptr }

func newForker() *forker {
	runtime.LockOSThread()
	f := &forker{all: ^uint64(0), ignore: sigaction{handler: 1}, byte: [1]byte{'.'}}
	f.limit.Value.Sec = int64(helperTime.Seconds())
	return f
}

// grow adds a process.
func (f *forker) grow(b branch) error {
	// The child must not run Go's signal handlers.
	var before uint64
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&f.all)), uintptr(unsafe.Pointer(&before)), 8, 0, 0)
	pid, errno := f.fork(b)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&before)), 0, 8, 0, 0)
	if errno != 0 {
		return errno
	}
	if b.orphan {
		if _, err := unix.Wait4(int(pid), nil, 0, nil); err != nil {
			fatal("%v", err)
		}
	}
	return nil
}

//go:nosplit
//go:norace
func (f *forker) fork(b branch) (pid uintptr, errno unix.Errno) {
	if pid, _, errno = unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0); pid != 0 || errno != 0 {
		return pid, errno
	}
	if b.setsid {
		unix.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	}
	if b.orphan {
		if pid, _, _ = unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0); pid != 0 {
			f.exit()
		}
	}
	for sig := uintptr(1); sig <= 64; sig++ {
		action := &f.standard
		if sig == uintptr(unix.SIGTERM) && b.ignoreTerm {
			action = &f.ignore
		}
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(action)), 0, 8, 0, 0)
	}
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&f.none)), 0, 8, 0, 0)
	unix.RawSyscall(unix.SYS_SETITIMER, unix.ITIMER_REAL, uintptr(unsafe.Pointer(&f.limit)), 0)
	unix.RawSyscall(unix.SYS_WRITE, 1, uintptr(unsafe.Pointer(&f.byte)), 1)
	for {
		unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}

//go:nosplit
//go:norace
func (f *forker) exit() {
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}
