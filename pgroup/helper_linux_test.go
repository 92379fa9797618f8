package pgroup

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/spawn"
)

// helperVar names the mode of this test binary that a test starts as workload.
const helperVar = "PGROUP_TEST_HELPER"

var helpers = map[string]func(){
	"tree":     helperTree,
	"phoenix":  func() { blockSignals(); forkPhoenixes(20) },
	"hopper":   func() { n := sharedCounter(); blockSignals(); forkHopper(n, 100_000) },
	"breeder":  func() { n := sharedCounter(); blockSignals(); forkBreeders(n, 1000) },
	"traced":   helperTraced,
	"headless": helperHeadless,
	"owner":    helperOwner,
	"ignored":  helperIgnored,
	"full":     helperFull,
	"refused":  helperRefused,
	"root":     helperRoot,
}

// The helpers fork without execve, for speed and to fork while they die. A
// child of such a fork is one thread without a scheduler: it makes raw system
// calls only, in functions that cannot be preempted. All signals are blocked
// in it, so that it survives all but SIGKILL, and it lives for lifetime at most.

// phoenixLives bounds what a phoenix outlives to a few minutes.
const phoenixLives = 5

var (
	lifetime  = unix.Timespec{Sec: 60}
	oneByte   = [1]byte{'.'}
	allBlocks = ^uint64(0)
)

//go:norace
//go:nosplit
func fork() uintptr {
	pid, _, _ := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	return pid
}

//go:norace
//go:nosplit
func exit() {
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

//go:norace
//go:nosplit
func live() {
	left := lifetime
	for {
		_, _, e := syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&left)), uintptr(unsafe.Pointer(&left)), 0)
		if e != unix.EINTR {
			exit()
		}
	}
}

//go:norace
//go:nosplit
func tell(fd uintptr) {
	syscall.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&oneByte)), 1)
}

// bounded ends a helper whose test has failed.
func bounded() {
	time.AfterFunc(time.Duration(lifetime.Sec)*time.Second, func() { os.Exit(1) })
}

func blockSignals() {
	runtime.LockOSThread()
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&allBlocks)), 0, 8, 0, 0)
}

// helperTree forks N processes: children, session leaders, double forks and
// daemons. It writes a line when all of them are there.
func helperTree() {
	n, _ := strconv.Atoi(os.Args[1])
	var ready [2]int
	if err := unix.Pipe(ready[:]); err != nil {
		panic(err)
	}
	blockSignals()
	for i := range n {
		forkMember(i, uintptr(ready[1]))
	}
	for range n {
		if n, err := unix.Read(ready[0], make([]byte, 1)); n != 1 {
			panic(err)
		}
	}
	fmt.Println("ready")
	live()
}

//go:norace
//go:nosplit
func forkMember(kind int, ready uintptr) {
	if fork() != 0 {
		return
	}
	if kind&1 != 0 {
		syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	}
	if kind&2 != 0 {
		self, _, _ := syscall.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
		if fork() != 0 {
			exit()
		}
		for parent := self; parent == self; { // until it has exited
			parent, _, _ = syscall.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		}
	}
	tell(ready)
	live()
}

// forkPhoenixes keeps n children alive: for each that dies it forks another.
//
//go:norace
//go:nosplit
func forkPhoenixes(n int) {
	for range n {
		if fork() == 0 {
			syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
			for range phoenixLives {
				if fork() == 0 {
					tell(1)
					live()
				}
				syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), 0, 0, 0, 0, 0)
			}
			exit()
		}
	}
	live()
}

// sharedCounter is memory that forks share.
func sharedCounter() *uint64 {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		panic(err)
	}
	return (*uint64)(unsafe.Pointer(&page[0]))
}

// forkHopper is a process that runs from its number: it forks and exits, for
// ever, in sessions of its own.
//
//go:norace
//go:nosplit
func forkHopper(hops *uint64, most uint64) {
	for ; *hops < most; *hops++ {
		if fork() != 0 {
			exit()
		}
		syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
		if *hops == 10 {
			tell(1)
		}
	}
	live()
}

// forkBreeders doubles until there were most processes.
//
//go:norace
//go:nosplit
func forkBreeders(made *uint64, most uint64) {
	for *made < most {
		*made++ // roughly is enough
		if *made == 10 {
			tell(1)
		}
		fork()
	}
	live()
}

// helperTraced has a child that is stopped under ptrace(2) and is not waited for.
func helperTraced() {
	blockSignals()
	if fork() == 0 {
		traceMe()
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(-1, &status, 0, nil); err != nil || !status.Stopped() {
		panic(fmt.Sprint(status, err))
	}
	fmt.Println("ready")
	live()
}

//go:norace
//go:nosplit
func traceMe() {
	syscall.RawSyscall(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0)
	pid, _, _ := syscall.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
	syscall.RawSyscall(unix.SYS_KILL, pid, uintptr(unix.SIGSTOP), 0)
	live()
}

func init() {
	if os.Getenv(helperVar) == "headless" {
		runtime.LockOSThread() // to the first thread, which runs init
	}
}

// helperHeadless goes on after its first thread has ended.
func helperHeadless() {
	blockSignals()
	started := make(chan bool)
	go func() {
		runtime.LockOSThread()
		close(started)
		_ = unix.Nanosleep(&lifetime, nil) // as the scheduler knows; it may have one processor
	}()
	<-started
	fmt.Println("ready")
	syscall.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
}

// helperOwner owns a tree of N processes, prints their numbers and the
// keeper's and waits to be killed.
func helperOwner() {
	ctx := context.Background()
	g, err := New(ctx)
	check(err)
	r, w, err := os.Pipe()
	check(err)
	cmd := helperCommand("tree", os.Args[1])
	cmd.Stdio = [3]int{0, int(w.Fd()), 2} // all members hold this process's 2
	_, err = g.Start(ctx, cmd)
	check(err)
	w.Close()
	_, err = bufio.NewReader(r).ReadString('\n')
	check(err)
	pids, err := g.Pids()
	check(err)
	fmt.Println(append(pids, g.keeper.Pid()))
	check(g.Wait(ctx))
}

// helperIgnored prints the ignored signals of a workload of its own.
func helperIgnored() {
	ctx := context.Background()
	g, err := New(ctx)
	check(err)
	p, err := g.Start(ctx, &spawn.Command{Args: []string{"sed", "-n", `s/SigIgn:\t//p`, "/proc/self/status"}, Stdio: [3]int{0, 1, 2}})
	check(err)
	_, err = p.Wait(ctx)
	check(err)
	check(g.Wait(ctx))
	check(g.Close(ctx))
}

// helperFull has no room for the pidfd of what it starts.
func helperFull() {
	ctx := context.Background()
	g, err := New(ctx)
	check(err)
	var was unix.Rlimit
	check(unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	next, err := unix.Dup(0)
	check(err)
	check(unix.Close(next))
	check(unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next), Max: was.Max}))
	_, err = g.Start(ctx, &spawn.Command{Args: []string{"sleep", "60"}, Stdio: [3]int{0, 2, 2}})
	fmt.Println(err)
	check(g.Wait(ctx))
	check(g.Close(ctx))
}

// helperRefused owns a process that became another user and prints what
// happens to signals; standard input is that process's.
func helperRefused() {
	ctx := context.Background()
	g, err := New(ctx)
	check(err)
	r, w, err := os.Pipe()
	check(err)
	p, err := g.Start(ctx, &spawn.Command{
		Args: []string{os.Args[1]}, Env: []string{helperVar + "=root"},
		Stdio: [3]int{0, int(w.Fd()), 2},
	})
	check(err)
	w.Close()
	_, err = bufio.NewReader(r).ReadString('\n')
	check(err)
	fmt.Println(p.Pid())
	fmt.Printf("%v\n%v\n", oneLine(g.Signal(unix.SIGTERM)), oneLine(g.Kill()))
	check(g.Wait(ctx))
	check(g.Close(ctx))
	fmt.Println("closed")
}

// helperRoot is executed with the set-user-ID bit.
func helperRoot() {
	check(syscall.Setreuid(0, 0))
	fmt.Println("root")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

func oneLine(err error) string { return strconv.Quote(fmt.Sprint(err)) }

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		os.Exit(1)
	}
}
