package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: what is written to the master is typed.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// inTerminal makes a command the leader of the terminal's session.
func inTerminal(cmd *exec.Cmd) {
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
}

const ctrlC, ctrlD, ctrlZ = "\x03", "\x04", "\x1a"

func typed(t *testing.T, master *os.File, keys string) {
	t.Helper()
	if _, err := master.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// TestTerminalInterrupt: Ctrl-C reaches the whole foreground group, and pkshim
// does not pass it on a second time; a signal to pkshim alone it does.
func TestTerminalInterrupt(t *testing.T) {
	each(t, func(t *testing.T, m mechanism) {
		master, slave := terminal(t)
		tr := trapped(t, call{mechanism: m, stdin: slave, setup: inTerminal}, "INT", "USR1")
		for range 3 {
			typed(t, master, ctrlC)
			tr.want("SIGINT")
			// pkshim is done with it when nobody in the group has it pending any
			// more: it tells by a process that blocks all signals.
			eventually(t, "SIGINT was handled", func() bool { return !pending(tr.Process.Pid, unix.SIGINT) })
			tr.signal(unix.SIGUSR1)
			tr.want("SIGUSR1")
		}
		tr.signal(unix.SIGINT)
		tr.want("SIGINT")
		typed(t, master, ctrlD)
		tr.want("end")
		res := tr.ran()
		res.exited(t, 0)
		tr.forwarded(res, "SIGUSR1", "SIGUSR1", "SIGUSR1", "SIGINT")
	})
}

// pending tells whether a child of a process has a signal pending.
func pending(pid int, sig syscall.Signal) bool {
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, name := range children {
		list, _ := os.ReadFile(name)
		for child := range strings.FieldsSeq(string(list)) {
			status, _ := os.ReadFile("/proc/" + child + "/status")
			_, set, _ := strings.Cut(string(status), "\nShdPnd:\t")
			set, _, _ = strings.Cut(set, "\n")
			if bits, err := strconv.ParseUint(set, 16, 64); err == nil && bits&(1<<(sig-1)) != 0 {
				return true
			}
		}
	}
	return false
}

// TestJobControl: a shell stops and continues pkshim and its workload together.
func TestJobControl(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	each(t, func(t *testing.T, m mechanism) {
		master, slave := terminal(t)
		output, out := pipe(t)
		cmd := exec.Command(bash, "--norc", "--noprofile", "--noediting", "-i")
		cmd.Env = append(os.Environ(), "PS1=$ ", "TERM=dumb", "HISTFILE=")
		cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = slave, slave, slave, []*os.File{out}
		inTerminal(cmd)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
			for _, pid := range pkshims() { // of a test that failed: stopped, it would stay
				unix.Kill(pid, unix.SIGKILL)
			}
		})
		slave.Close()
		out.Close()
		screen := &screen{t: t, master: master}
		screen.want("$ ")

		id := newID()
		typed(t, master, strings.Join(m.args(append([]string{"--id", id, "--"}, self("trap", "INT")...)...), " ")+" >&3\r")
		tr := &trapper{running: &running{t: t}}
		tr.lines = newLines(output)
		if _, err := fmt.Sscanf(tr.line(), "ready %d", &tr.pid); err != nil {
			t.Fatal(err)
		}
		typed(t, master, ctrlZ)
		screen.want("Stopped")
		screen.want("$ ") // before that the shell does not have the terminal yet
		eventually(t, "the workload is stopped", func() bool { return stopped(t, tr.pid) })
		typed(t, master, "fg\r")
		// First it gives the job the terminal, then it lets it go on.
		eventually(t, "the workload goes on", func() bool { return !stopped(t, tr.pid) })
		typed(t, master, ctrlC)
		tr.want("SIGINT")
		typed(t, master, ctrlD)
		tr.want("end")
		screen.want("$ ")
		typed(t, master, "echo code=$?\r")
		screen.want("code=0")
		typed(t, master, "exit\r")
		awaitEOF(t, output)
		nothingLeft(t, id)
	})
}

// A screen is what a terminal shows.
type screen struct {
	t      *testing.T
	master *os.File
	shown  []byte
}

// want reads until the text has been shown, after what was wanted before.
func (s *screen) want(text string) {
	s.t.Helper()
	s.master.SetReadDeadline(time.Now().Add(callTime))
	buf := make([]byte, 1024)
	for {
		if at := bytes.Index(s.shown, []byte(text)); at >= 0 {
			s.shown = s.shown[at+len(text):]
			return
		}
		n, err := s.master.Read(buf)
		s.shown = append(s.shown, buf[:n]...)
		if err != nil {
			s.t.Fatalf("the terminal does not show %q: %v\n%s", text, err, s.shown)
		}
	}
}

// stopped tells whether all threads of a process are: one that is not yet may
// still take a line from the terminal.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("process %d is gone: %v", pid, err)
	}
	return !slices.ContainsFunc(threads, func(name string) bool {
		b, err := os.ReadFile(name)
		_, rest, _ := bytes.Cut(b, []byte(") ")) // proc(5)
		return err == nil && !bytes.HasPrefix(rest, []byte("T"))
	})
}
