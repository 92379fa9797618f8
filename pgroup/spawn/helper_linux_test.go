package spawn

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
)

// helper is another process of the tests: one with other credentials, or one
// that is to be killed.
func helper(mode string, args []string) int {
	var err error
	switch mode {
	case "start":
		err = helpStart(args[0])
	case "ignore":
		signal.Ignore(unix.SIGHUP, unix.SIGQUIT)
		signal.Notify(make(chan os.Signal, 1), unix.SIGWINCH)
		err = helpStart(args[0])
	case "owner":
		err = helpOwner(args[0], args[1])
	case "cleanup":
		err = helpCleanup(args[0])
	case "parent":
		err = helpParent(args[0])
	case "bystander":
		err = helpBystander()
	default:
		err = errors.New("no such helper")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "helper %s: %v\n", mode, err)
		return 1
	}
	return 0
}

// quickExit keeps the race detector from pausing for a second at each exit.
const quickExit = "GORACE=atexit_sleep_ms=0"

// An outcome is what became of a start in a helper.
type outcome struct {
	Err      string
	Errno    syscall.Errno
	Exec     bool
	Exit     *pidfd.Exit
	Children []int  // that the start left
	Output   string `json:"-"` // of the program
	Stderr   string `json:"-"`
}

// startIn starts c in a process that attr and files describe. The files are
// its descriptors 3 and up.
func startIn(t *testing.T, attr *syscall.SysProcAttr, c *Command, files ...*os.File) outcome {
	t.Helper()
	return startInCmd(t, exec.Command("/proc/self/exe", "helper:start", asJSON(t, c)), attr, files...)
}

func asJSON(t *testing.T, c *Command) string {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func startInCmd(t *testing.T, cmd *exec.Cmd, attr *syscall.SysProcAttr, files ...*os.File) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.SysProcAttr = attr
	cmd.Env = append(os.Environ(), quickExit)
	cmd.ExtraFiles = files
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
	}
	return parseOutcome(t, stdout.String(), stderr.String())
}

func parseOutcome(t *testing.T, stdout, stderr string) outcome {
	t.Helper()
	var o outcome
	if err := json.Unmarshal([]byte(stderr), &o); err != nil {
		t.Fatalf("the helper said %q: %v", stderr, err)
	}
	o.Output = stdout
	return o
}

// helpStart starts the command and writes the outcome to standard error.
func helpStart(text string) error {
	var c Command
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.Stdio = [3]int{0, 1, null}
	var o outcome
	p, err := c.Start(context.Background())
	if err == nil {
		o.Exit, err = p.Wait(context.Background())
	}
	if err != nil {
		o.Err = err.Error()
		errors.As(err, &o.Errno)
		var se *StartError
		o.Exec = errors.As(err, &se) && se.Exec
	}
	o.Children = children()
	return json.NewEncoder(os.Stderr).Encode(o)
}

// An owner is a helper that said that it is ready and waits to be killed.
type owner struct {
	*exec.Cmd
	in  *os.File // what it reads
	out *bufio.Reader
	pid int // of the process that it named
}

func startOwner(t *testing.T, attr *syscall.SysProcAttr, args ...string) *owner {
	t.Helper()
	o := startHelper(t, attr, nil, args...)
	var err error
	if o.pid, err = o.number(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return o
}

// startHelper is startOwner for a helper that says nothing. The files are its
// descriptors 3 and up.
func startHelper(t *testing.T, attr *syscall.SysProcAttr, files []*os.File, args ...string) *owner {
	t.Helper()
	o := &owner{Cmd: exec.Command("/proc/self/exe", args...)}
	o.SysProcAttr = attr
	o.Env = append(os.Environ(), quickExit)
	o.ExtraFiles = files
	o.Stderr = os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	o.in, o.Stdin = w, r
	t.Cleanup(func() { w.Close() })
	stdout, err := o.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	o.out = bufio.NewReader(stdout)
	if err := o.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.kill)
	return o
}

// number reads a line that is a number.
func (o *owner) number() (n int, err error) {
	line, err := o.out.ReadString('\n')
	if err == nil {
		_, err = fmt.Sscan(line, &n)
	}
	return n, err
}

func (o *owner) kill() {
	o.Process.Kill()
	o.Wait()
}

// await returns when standard input ends, or when the helper is killed.
func await() { bufio.NewReader(os.Stdin).ReadString('\n') }

// helpOwner starts a tree of processes in the cgroup dir, with a guard of the
// given kind, and says the guard's number.
func helpOwner(kind, dir string) error {
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	kill, err := unix.Open(dir+"/cgroup.kill", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var g *Guard
	pid := 0
	switch kind {
	case "none":
	case "guard":
		g, err = NewGuard(AtOwnersEnd{Kill: kill})
	case "cleanup":
		g, err = NewGuard(AtOwnersEnd{Kill: kill, Dir: fd, Args: []string{"pkshim", "helper:cleanup", dir}})
	case "anchor", "unarmed":
		if g, err = NewAnchor(nil, nil); err == nil && kind == "anchor" {
			err = g.Arm(context.Background(), dir+"/cgroup.kill")
		}
	}
	if err != nil {
		return err
	}
	if g != nil {
		pid = g.Process().Pid()
	}
	const tree = `sleep 600 & setsid sleep 600 & (setsid sh -c 'sleep 600 & setsid sleep 600 & wait' &) ; echo; exec sleep 600`
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c := &Command{Args: []string{"/bin/sh", "-c", tree}, Group: fd, Stdio: [3]int{null, int(w.Fd()), null}}
	if _, err := c.Start(context.Background()); err != nil {
		return err
	}
	if _, err := r.Read(make([]byte, 1)); err != nil {
		return err
	}
	fmt.Println(pid)
	await()
	return nil
}

// helpCleanup is what a guard executes: it removes the cgroup as soon as
// nothing is in it. Its standard error is the cgroup's directory.
func helpCleanup(dir string) error {
	fd, err := unix.Openat(2, "cgroup.events", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := awaitEvent(fd, "populated 0\n"); err != nil {
		return err
	}
	return os.Remove(dir)
}

// helpParent starts a process that is to die with it and says its number. The
// process reads standard input, which does not end when this one is killed.
func helpParent(text string) error {
	runtime.LockOSThread()
	var c Command
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	c.Stdio = [3]int{0, 2, 2}
	p, err := c.Start(context.Background())
	if err != nil {
		return err
	}
	fmt.Println(p.Pid())
	return unix.Pause() // the process it started is the reader of standard input
}

// helpBystander says its own number and, for each line that it reads, whether
// SIGINT is pending in the bystander.
func helpBystander() error {
	signal.Notify(make(chan os.Signal, 1), unix.SIGINT)
	g, err := NewBystander()
	if err != nil {
		return err
	}
	defer g.Dismiss()
	fmt.Println(os.Getpid())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		pending, err := g.Pending(unix.SIGINT)
		if err != nil {
			return err
		}
		fmt.Println(strings.Count(fmt.Sprint(pending), "true"))
	}
	return nil
}
