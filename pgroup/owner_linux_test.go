package pgroup

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/spawn"
)

func TestOwnerKilled(t *testing.T) {
	const n = 200
	r, w := pipe(t)
	cmd := helperCommand("owner", strconv.Itoa(n))
	cmd.Stdio[1] = int(w.Fd())
	owner, err := cmd.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	w.Close()
	line, err := bufio.NewReader(r).ReadString('\n')
	var pids []int
	for field := range strings.FieldsSeq(strings.Trim(line, "[]\n")) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) != n+2 {
		t.Errorf("the owner said %q, %v", line, err)
	}
	fds := pinAll(t, pids)
	if err := owner.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitGone(t, fds)
}

// Whenever it is that the owner is killed, while it starts the keeper or the
// keeper the tree, in the end nobody holds the output.
func TestOwnerKilledAtAnyTime(t *testing.T) {
	for i := range 25 {
		r, w := pipe(t)
		cmd := helperCommand("owner", "20")
		cmd.Stdio = [3]int{0, int(w.Fd()), int(w.Fd())}
		owner, err := cmd.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		<-time.After(time.Duration(i*i) * 100 * time.Microsecond)
		err = owner.Signal(unix.SIGKILL)
		_, werr := owner.Wait(t.Context())
		if err := errors.Join(err, werr, owner.Close(), r.SetReadDeadline(time.Now().Add(20*time.Second))); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Errorf("killed after %d ms: %v", i*i/10, err)
		}
	}
}

func TestKeeperKilled(t *testing.T) {
	g := newGroup(t)
	r, _ := pipe(t)
	cmd := shell("read line")
	cmd.Stdio[0] = int(r.Fd())
	if os.Getuid() == 0 {
		cmd.User = &spawn.User{UID: 65534, GID: 65534} // does not clear the parent death signal
	}
	p := startIn(t, g, cmd)
	fds := pinAll(t, []int{p.Pid(), g.keeper.Pid()})
	waited := make(chan error)
	go func() { waited <- g.Wait(t.Context()) }()
	if err := g.keeper.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, werr := p.Wait(t.Context())
	_, serr := g.Start(t.Context(), shell(""))
	_, perr := g.Pids()
	for what, err := range map[string]error{
		"Wait": <-waited, "Process.Wait": werr, "Start": serr, "Pids": perr,
		"Signal": g.Signal(unix.SIGTERM), "Kill": g.Kill(), "Close": g.Close(t.Context()), "Close again": g.Close(t.Context()),
	} {
		if !errors.Is(err, ErrKeeperDied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	waitGone(t, fds)
}

func TestKeeperKilledWithNothing(t *testing.T) {
	g := newGroup(t)
	if err := g.keeper.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// Signals that end or stop a process do not end or stop the keeper.
func TestKeeperIsDeaf(t *testing.T) {
	g := newGroup(t)
	for sig := unix.Signal(1); sig <= 64; sig++ {
		switch sig {
		case unix.SIGKILL, unix.SIGSTOP, // nobody can be deaf to these
			unix.SIGILL, unix.SIGTRAP, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSTKFLT, unix.SIGSYS, // errors of the program
			32, 33, 34: // the C library's own, which Go leaves alone
		default:
			if err := g.keeper.Signal(sig); err != nil {
				t.Errorf("%v: %v", sig, err)
			}
		}
	}
	if got := output(t, g, shell("grep -c 'SigIgn:.*0000000000000000' /proc/self/status")); got != "1\n" {
		t.Errorf("signals are ignored in the workload")
	}
}

func TestClose(t *testing.T) {
	g := newGroup(t)
	p := startIn(t, g, shell("exit 5"))
	if err := g.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	fds := pinAll(t, []int{g.keeper.Pid()})
	for range 3 {
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	waitGone(t, fds)
	if e, err := p.Wait(t.Context()); err != nil || e.Code != 5 {
		t.Errorf("exit %+v, %v", e, err)
	}
	_, serr := g.Start(t.Context(), shell(""))
	_, perr := g.Pids()
	_, terr := g.Stats()
	for what, err := range map[string]error{"Start": serr, "Pids": perr, "Stats": terr, "Signal": g.Signal(unix.SIGTERM), "Kill": g.Kill()} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s of a closed group: %v", what, err)
		}
	}
	if err := g.Wait(t.Context()); err != nil {
		t.Errorf("Wait of a closed group: %v", err)
	}
}
