package integration

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// busVariable names the variable by which pkshim finds the manager's bus.
func busVariable() string {
	if isRoot {
		return "DBUS_SYSTEM_BUS_ADDRESS"
	}
	return "DBUS_SESSION_BUS_ADDRESS"
}

// realBus is the socket of the bus that the manager is on.
func realBus() string {
	if isRoot {
		return "/run/dbus/system_bus_socket"
	}
	return filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus")
}

// A proxy stands between pkshim and the bus and dies at a chosen moment.
type proxy struct {
	net.Listener
	address string
	wg      sync.WaitGroup
	mu      sync.Mutex
	conns   []net.Conn
	died    bool
}

// listen opens a socket that serve serves each connection of.
func listen(t *testing.T, serve func(*proxy, net.Conn)) *proxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "pkshim-bus-") // t.TempDir's is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "bus")
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, address: "unix:path=" + name}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if p.keep(c) {
				p.wg.Go(func() { serve(p, c) })
			}
		}
	})
	t.Cleanup(func() {
		p.die()
		p.wg.Wait()
		os.RemoveAll(dir)
	})
	return p
}

// keep notes a connection, to be closed when the proxy dies.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.died {
		c.Close()
		return false
	}
	p.conns = append(p.conns, c)
	return true
}

// die closes everything, now and for good.
func (p *proxy) die() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.died = true
	p.Close()
	for _, c := range p.conns {
		c.Close()
	}
}

// A cut is the moment of the proxy's death: when that many bytes or that word
// came from there, before or after they were passed on.
type cut struct {
	fromBus bool
	bytes   int
	word    string
	after   bool
}

func (c cut) String() string {
	from, when := "pkshim", "before"
	if c.fromBus {
		from = "the bus"
	}
	if c.after {
		when = "after"
	}
	if c.word != "" {
		return fmt.Sprintf("%s %s of %s", when, c.word, from)
	}
	return fmt.Sprintf("%s %d bytes of %s", when, c.bytes, from)
}

// dying is a proxy to the bus that dies at the cut.
func dying(t *testing.T, at cut) *proxy {
	t.Helper()
	return listen(t, func(p *proxy, client net.Conn) {
		bus, err := net.Dial("unix", realBus())
		if err != nil {
			t.Error(err)
			return
		}
		if !p.keep(bus) {
			return
		}
		p.wg.Go(func() { p.copy(client, bus, at, true) })
		p.copy(bus, client, at, false)
	})
}

func (p *proxy) copy(to, from net.Conn, at cut, fromBus bool) {
	defer to.Close()
	var seen []byte
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			seen = append(seen, buf[:n]...)
			due := at.fromBus == fromBus && (at.word != "" && bytes.Contains(seen, []byte(at.word)) || at.bytes > 0 && len(seen) >= at.bytes)
			if due && !at.after {
				p.die()
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
			if due {
				p.die()
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// TestBusDies: the bus goes away at any moment of a run. Either another way to
// the manager is found, or an error says what happened; nothing is left.
func TestBusDies(t *testing.T) {
	m := need(t, "systemd")
	needSystem(t)
	cuts := []cut{
		{bytes: 1},                                // the authentication's first byte
		{fromBus: true, bytes: 1},                 // its answer
		{word: "Hello", after: true},              //
		{word: "StartTransientUnit"},              // the call did not arrive
		{word: "StartTransientUnit", after: true}, // it did, and nobody hears of it
		{fromBus: true, word: "/job/"},            // neither the answer
		{fromBus: true, word: "JobRemoved"},       // nor the end of the job
		{fromBus: true, word: "JobRemoved", after: true},
		{word: "ControlGroup"}, {word: "ControlGroup", after: true},
		{word: "StopUnit"}, {word: "StopUnit", after: true},
		{fromBus: true, word: "nothing that is ever said"}, // the control
	}
	for _, at := range cuts {
		t.Run(at.String(), func(t *testing.T) {
			p := dying(t, at)
			marker := filepath.Join(t.TempDir(), "it ran")
			res := call{mechanism: m, env: []string{busVariable() + "=" + p.address}, command: []string{"/usr/bin/touch", marker}}.run(t)
			truthful(t, m, res, exists(marker))
			nothingLeft(t, res.id)
			noUnits(t, res.id)
		})
	}
}

// truthful checks a run that may or may not have been possible.
func truthful(t *testing.T, m mechanism, res *result, ran bool) {
	t.Helper()
	if ran {
		res.sound(t, m)
		res.exited(t, 0)
		return
	}
	r := res.report
	if res.code != 125 || res.stderr == "" || r == nil || r.Exit.Reason != "not_started" || r.Error == "" || r.Cleanup.Error != "" {
		t.Errorf("exit code %d, report %+v\n%s", res.code, r, res.stderr)
	}
	t.Logf("refused: %s", res.stderr)
}

// TestBusDiesMeanwhile: the workload runs on, ends, and is cleaned up.
func TestBusDiesMeanwhile(t *testing.T) {
	m := need(t, "systemd")
	needSystem(t)
	p := dying(t, cut{})
	tr := trapped(t, call{mechanism: m, env: []string{busVariable() + "=" + p.address}}, "USR1")
	p.die()
	tr.signal(10)
	tr.want("SIGUSR1")
	tr.input.Close()
	res := tr.ran()
	res.exited(t, 0)
	nothingLeft(t, res.id)
	noUnits(t, res.id)
}

// absentBus is an environment in which no manager can be reached.
func absentBus(t *testing.T, address string) (m mechanism, env []string) {
	t.Helper()
	needSystem(t)
	if !isRoot {
		return auto, []string{"XDG_RUNTIME_DIR=" + t.TempDir(), "DBUS_SESSION_BUS_ADDRESS=" + address}
	}
	hide := `mount -t tmpfs tmpfs /run/dbus && mount --bind /dev/null /run/systemd/private && exec "$@"`
	m = auto
	m.wrap = append([]string{"unshare", "--mount", "--propagation", "private"}, shell(hide)...)
	return m, []string{"DBUS_SYSTEM_BUS_ADDRESS=" + address}
}

// TestBusAbsent: without the manager, auto falls back and says why; what needs
// the manager is an error.
func TestBusAbsent(t *testing.T) {
	m, env := absentBus(t, "unix:path=/nonexistent/bus")
	noManager(t, m, env, "/nonexistent/bus")
}

func noManager(t *testing.T, m mechanism, env []string, reason string) {
	t.Helper()
	t.Run("all", func(t *testing.T) {
		t.Run("fallback", func(t *testing.T) {
			t.Parallel()
			res := call{mechanism: m, env: env, command: []string{"/bin/true"}}.ran(t)
			res.exited(t, 0)
			if res.report.Mechanism != "pgroup" {
				t.Errorf("mechanism %s", res.report.Mechanism)
			}
			for _, c := range res.report.Candidates {
				if c.Mechanism == "systemd" && !strings.Contains(c.Reason, reason) {
					t.Errorf("the reason does not name %s: %s", reason, c.Reason)
				}
			}
		})
		t.Run("limits", func(t *testing.T) {
			t.Parallel()
			call{mechanism: m, env: env, flags: []string{"--memory", "64M"}}.refused(t, "systemd", reason)
		})
		t.Run("by name", func(t *testing.T) {
			t.Parallel()
			m := m
			m.name = "systemd"
			call{mechanism: m, env: env}.refused(t, "systemd", reason)
		})
	})
	nothingLeft(t, session)
}

// TestBusSilent: somebody listens and never answers. That ends in time.
func TestBusSilent(t *testing.T) {
	p := listen(t, func(p *proxy, c net.Conn) { // takes all, says nothing
		buf := make([]byte, 4096)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	})
	m, env := absentBus(t, p.address)
	start := time.Now()
	noManager(t, m, env, p.address)
	t.Logf("given up after %s", time.Since(start).Round(time.Millisecond))
}

// TestUnitTaken: a unit of that name that is there is not touched, unless it
// is only the memory of one that failed.
func TestUnitTaken(t *testing.T) {
	m := need(t, "systemd")
	needSystem(t)
	scope := func(id string, args ...string) []string {
		return manager("systemd-run", append([]string{"--scope", "--quiet", "--unit", "pkshim-" + id + ".scope"}, args...)...)
	}
	t.Run("active", func(t *testing.T) {
		id := newID()
		other := hold(t, scope(id, "cat"))
		call{mechanism: m, id: id}.refused(t, "pkshim-"+id+".scope", "exists already", "active", "systemctl stop")
		other.still(t)
	})
	t.Run("active, and pkshim killed", func(t *testing.T) {
		id := newID()
		other := hold(t, scope(id, "cat"))
		start := time.Now()
		call{mechanism: m, id: id}.refused(t, "exists already")
		took := time.Since(start)
		const moments = 30
		for i := range moments {
			r := call{mechanism: m, id: id, command: []string{"/bin/true"}}.start(t)
			<-time.After(took * time.Duration(i) / moments)
			r.Process.Kill()
			r.Wait()
		}
		eventually(t, "no guard is left", func() bool { return len(pkshims()) == 0 })
		other.still(t)
	})
	t.Run("frozen", func(t *testing.T) {
		id := newID()
		other := hold(t, scope(id, "cat"))
		systemctl(t, "freeze", "pkshim-"+id+".scope")
		call{mechanism: m, id: id}.refused(t, "pkshim-"+id+".scope", "exists already", "frozen")
		systemctl(t, "thaw", "pkshim-"+id+".scope")
		other.still(t)
	})
	t.Run("failed", func(t *testing.T) {
		id := newID()
		failed := scope(id, "-p", "RuntimeMaxSec=1ms", "cat")
		hold(t, failed).Wait() // systemd ends it
		eventually(t, "the unit is failed", func() bool { return strings.Contains(strings.Join(unitsOf(id), ""), "loaded failed") })
		res := call{mechanism: m, id: id, command: []string{"/bin/true"}}.ran(t)
		res.exited(t, 0)
		noUnits(t, id)
	})
}
