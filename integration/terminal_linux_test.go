package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
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
			// pkshim handles signals one after the other: after this one it is
			// done with the one before.
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
		defer cmd.Wait()
		defer cmd.Process.Kill()
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
		eventually(t, "the workload is stopped", func() bool { return stateOf(t, tr.pid) == "T" })
		typed(t, master, "fg\r")
		// First it gives the job the terminal, then it lets it go on.
		eventually(t, "the workload goes on", func() bool { return stateOf(t, tr.pid) != "T" })
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

// stateOf is the letter of proc(5).
func stateOf(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(b, []byte(") "))
	return string(rest[:1])
}
