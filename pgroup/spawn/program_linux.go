package spawn

import (
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A program is the list of system calls of one child, with a name for each and
// the memory that their arguments point to.
type program struct {
	calls []call
	names []string
	execs int   // the last that many calls are execve
	hold  []any // keeps the operands on the heap and alive

	// Indices of calls whose descriptor fork fills in: the one that reports
	// readiness, and the one that closes the reading end, 0 if there is none.
	ready, reader int

	deaf bool // every signal stays blocked

	closeAfterFork []int // descriptors that only the child needs
}

// add appends a call, named by the format and its arguments for the error that
// its failure becomes.
func (p *program) add(name string, nr uintptr, args ...uintptr) *call {
	c := call{nr: nr}
	copy(c.args[:], args)
	p.calls = append(p.calls, c)
	p.names = append(p.names, name)
	return &p.calls[len(p.calls)-1]
}

// addReady appends the call that tells the parent that all before it is done.
func (p *program) addReady() {
	p.ready = len(p.calls)
	p.add("report", unix.SYS_WRITE, 0, ref(p, &[]byte("1")[0]), 1)
}

// ref keeps v and returns its address as an operand.
func ref[T any](p *program, v *T) uintptr {
	p.hold = append(p.hold, v)
	return uintptr(unsafe.Pointer(v))
}

func (p *program) str(s string) (uintptr, error) {
	b, err := unix.BytePtrFromString(s)
	if err != nil {
		return 0, fmt.Errorf("%q: NUL byte: %w", s, err)
	}
	return ref(p, b), nil
}

// strs is an array of C strings that ends with a null pointer.
func (p *program) strs(ss []string) (uintptr, error) {
	ptrs := make([]uintptr, len(ss)+1)
	for i, s := range ss {
		a, err := p.str(s)
		if err != nil {
			return 0, err
		}
		ptrs[i] = a
	}
	p.hold = append(p.hold, ptrs)
	return uintptr(unsafe.Pointer(&ptrs[0])), nil
}

// compile turns the command into the child's list. The order matters: what
// needs privileges comes before the credentials are dropped, the directory
// after it, no_new_privs last.
func (c *Command) compile() (*program, error) {
	p := &program{}
	p.add("mark descriptors close-on-exec (needs Linux 5.11)", unix.SYS_CLOSE_RANGE, 3, maxFD, unix.CLOSE_RANGE_CLOEXEC)
	switch {
	case c.ProcessGroup == NewProcessGroup:
		p.add("make a process group", unix.SYS_SETPGID, 0, 0)
	case c.ProcessGroup > 0:
		p.add(fmt.Sprintf("join process group %d", c.ProcessGroup), unix.SYS_SETPGID, 0, uintptr(c.ProcessGroup))
	}
	p.stdio(c.Stdio)
	p.scheduling(c)
	p.limits(c)
	if err := p.credentials(c); err != nil {
		return nil, err
	}
	if c.ParentDeathSignal != 0 { // a change of user would clear it (prctl(2))
		p.add("set the parent death signal", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(c.ParentDeathSignal))
	}
	if c.Umask != nil {
		p.add(fmt.Sprintf("set umask %#o", *c.Umask), unix.SYS_UMASK, uintptr(*c.Umask))
	}
	if c.Dir != "" {
		dir, err := p.str(c.Dir)
		if err != nil {
			return nil, fmt.Errorf("working directory: %w", err)
		}
		p.add(fmt.Sprintf("enter working directory %s", c.Dir), unix.SYS_CHDIR, dir)
	}
	if c.NoNewPrivileges {
		p.add("set no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	}
	return p, p.exec(c)
}

const maxFD = 1<<32 - 1

// stdio puts the three descriptors in place. Descriptors below 3 that go
// elsewhere were moved out of the way by the parent.
func (p *program) stdio(fds [3]int) {
	for i, fd := range fds {
		if fd == i {
			p.add(fmt.Sprintf("pass on descriptor %d", i), unix.SYS_FCNTL, uintptr(i), unix.F_SETFD, 0)
			continue
		}
		p.add(fmt.Sprintf("make descriptor %d", i), unix.SYS_DUP3, uintptr(fd), uintptr(i), 0)
	}
}

// exec looks for the program where execvp(3) would and executes the first that
// is there.
func (p *program) exec(c *Command) error {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return fmt.Errorf("no program to execute: %w", os.ErrInvalid)
	}
	argv, err := p.strs(c.Args)
	if err != nil {
		return fmt.Errorf("arguments: %w", err)
	}
	envv, err := p.strs(c.Env)
	if err != nil {
		return fmt.Errorf("environment: %w", err)
	}
	// Once the child has no reader of its own, the report of a child whose
	// parent is dead raises SIGPIPE: the program does not run without its owner.
	p.reader = len(p.calls)
	p.add("close the reading end of the report", unix.SYS_CLOSE, 0)
	p.addReady()
	program := c.Args[0]
	places := []string{c.Path}
	if c.Path == "" {
		places = candidates(program, c.Env)
	} else {
		program = c.Path
	}
	for i, place := range places {
		path, err := p.str(place)
		if err != nil {
			return fmt.Errorf("program: %w", err)
		}
		p.add(fmt.Sprintf("execute %s", program), unix.SYS_EXECVE, path, argv, envv).next = i < len(places)-1
	}
	p.execs = len(places)
	return nil
}

// DefaultPath is searched when the environment has no PATH, as the default of
// login(1) and the shells for root.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// candidates are the paths at which name may be. An empty element of PATH is
// the working directory (POSIX, XBD 8.3).
func candidates(name string, env []string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	path := DefaultPath
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
		}
	}
	var places []string
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		places = append(places, strings.TrimSuffix(dir, "/")+"/"+name)
	}
	return places
}
