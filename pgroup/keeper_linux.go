package pgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
)

// keeperName is the first argument of a keeper, its name in ps(1).
const keeperName = "pkshim-keeper"

// initialized says that this program can be its own keeper.
var initialized bool

// Init makes this process a keeper, if it was started as one, and does not
// return then. A program that uses this package calls it first thing in main,
// and in TestMain. It costs nothing.
func Init() {
	initialized = true
	if len(os.Args) == 0 || os.Args[0] != keeperName {
		return
	}
	runKeeper() // its errors went to the owner, if there is one
	os.Exit(1)
}

// A keeper starts the workload and owns every process that comes of it.
type keeper struct {
	conn   *conn
	owner  *pidfd.FD
	starts chan *start

	// mu is held while children are reaped and while the tree is read. Where
	// order matters, messages are sent under it.
	mu      sync.Mutex
	tree    *tree
	changed *sync.Cond // a start has ended, or a child was reaped
	waiting map[uint64]context.CancelFunc
	// workloads are the processes whose exit is to be told; exits are those of
	// processes that may turn out to be the one that is being started.
	workloads map[int]bool
	exits     map[int]*pidfd.Exit
	starting  bool
	empty     bool // the owner knows that there is no child
	ending    bool // no more starts
}

// The keeper's descriptors as it is started.
const (
	fdSocket = 0
	fdOwner  = 1
	fdNull   = 2
)

func runKeeper() {
	// The children's parent death signal is that of the thread that started
	// them, so one thread starts all and lives as long as the process.
	runtime.LockOSThread()
	k, err := newKeeper()
	if err != nil {
		if k != nil {
			_ = k.conn.send(answer{Failures: failures(err)})
		}
		return
	}
	go k.watchOwner()
	go k.reapAll()
	go k.serve()
	if err := k.conn.send(answer{Hello: true}); err != nil {
		return
	}
	for s := range k.starts {
		k.start(s)
	}
}

func newKeeper() (*keeper, error) {
	socket, owner, err := takeDescriptors()
	if err != nil {
		return nil, err
	}
	k := &keeper{
		starts:    make(chan *start),
		waiting:   map[uint64]context.CancelFunc{},
		workloads: map[int]bool{},
		exits:     map[int]*pidfd.Exit{},
		empty:     true,
	}
	k.changed = sync.NewCond(&k.mu)
	if k.conn, err = newConn(socket); err != nil {
		return nil, err
	}
	if k.owner, err = pidfd.New(owner, os.Getppid()); err != nil {
		return k, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return k, fmt.Errorf("become a subreaper: %w", os.NewSyscallError("prctl", err))
	}
	if err := handleSignals(); err != nil {
		return k, err
	}
	k.tree, err = newTree(func() { k.reap() })
	return k, err
}

// takeDescriptors moves socket and pidfd away from the numbers that belong to
// standard files.
func takeDescriptors() (socket, owner int, err error) {
	name, err := unix.BytePtrFromString(keeperName)
	if err == nil { // /proc/self/exe left the name "exe"
		err = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0)
	}
	if err != nil {
		return 0, 0, err
	}
	for fd, to := range map[int]*int{fdSocket: &socket, fdOwner: &owner} {
		if *to, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			return 0, 0, os.NewSyscallError("fcntl", err)
		}
		if err := unix.Dup3(fdNull, fd, 0); err != nil {
			return 0, 0, os.NewSyscallError("dup3", err)
		}
	}
	return socket, owner, nil
}

// handleSignals makes the keeper deaf to what would end or stop it, apart from
// what says that a program is in error; the Go runtime's own handlers ignore
// the rest. Signals get a handler and are not ignored: execve(2) resets
// handlers only, and the workload is to have the dispositions that the owner
// was given, those that were ignored (nohup(1)) included.
func handleSignals() error {
	ignored, err := ignoredSignals()
	if err != nil {
		return err
	}
	unread := make(chan os.Signal, 1)
	for _, sig := range []syscall.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGTERM, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU,
	} {
		if ignored&(1<<(sig-1)) == 0 {
			signal.Notify(unread, sig)
		}
	}
	return nil
}

// ignoredSignals is a set, signal 1 in bit 0.
func ignoredSignals() (uint64, error) {
	line, err := statusLine("SigIgn")
	if err != nil {
		return 0, err
	}
	set, err := strconv.ParseUint(line, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("/proc/self/status: SigIgn: %w", err)
	}
	return set, nil
}

// watchOwner ends the tree and the keeper when the owner has ended.
func (k *keeper) watchOwner() {
	if err := k.owner.Exited(context.Background()); err != nil {
		os.Exit(1) // cannot watch; the owner sees the end and the workload gets SIGKILL
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ending = true
	for {
		for _, cancel := range k.waiting {
			cancel()
		}
		err := k.tree.kill()
		if k.reap() && !k.starting {
			os.Exit(0)
		}
		if err != nil && !errors.Is(err, unix.EPERM) {
			os.Exit(1) // cannot see the tree: let the parent death signal do what it can
		}
		k.changed.Wait()
	}
}
