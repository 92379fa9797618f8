package integration

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A holder is a process of somebody else: cat, which repeats what it is told.
type holder struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// hold starts a command that ends in cat.
func hold(t *testing.T, args []string) *holder {
	t.Helper()
	h := &holder{Cmd: exec.Command(args[0], args[1:]...)}
	in, err := h.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.in, h.out = in, bufio.NewScanner(out)
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		h.Wait()
	})
	if !strings.Contains(strings.Join(args, " "), "RuntimeMaxSec") {
		h.still(t)
	}
	return h
}

// still checks that it is alive and well.
func (h *holder) still(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(h.in, "alive\n"); err != nil {
		t.Error(err)
	}
	if !h.out.Scan() || h.out.Text() != "alive" {
		t.Errorf("somebody else's process says %q, %v", h.out.Text(), h.out.Err())
	}
}

// TestCgroupTaken: a cgroup that the caller names and that is not empty, or
// frozen, is left as it is.
func TestCgroupTaken(t *testing.T) {
	needRoot(t)
	m := need(t, "cgroupfs")
	m.wrap = nil // by name and path, root may have it anywhere
	path := "/pkshim-" + newID()
	dir := filepath.Join(cgroup2(), path)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	named := func() object { return object{"linux": object{"cgroupsPath": path}} }

	t.Run("not empty", func(t *testing.T) {
		other := hold(t, shell(`echo 0 >"$1/cgroup.procs" && exec cat`, dir))
		call{mechanism: m, spec: named()}.refused(t, path, "has processes")
		other.still(t)
	})
	t.Run("frozen", func(t *testing.T) {
		freeze := filepath.Join(dir, "cgroup.freeze")
		if err := os.WriteFile(freeze, []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
		call{mechanism: m, spec: named()}.refused(t, path, "frozen")
		if err := os.WriteFile(freeze, []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("empty", func(t *testing.T) {
		spec := named()
		spec["process"] = object{"args": []string{"/bin/true"}, "cwd": "/"}
		res := call{mechanism: m, spec: spec}.ran(t)
		res.exited(t, 0)
		if res.report.Cgroup != path {
			t.Errorf("cgroup %s, want %s", res.report.Cgroup, path)
		}
		if !exists(dir) {
			t.Error("a cgroup that was there before is gone")
			os.Mkdir(dir, 0o755)
		}
	})
	t.Run("own", func(t *testing.T) {
		call{mechanism: m, spec: object{"linux": object{"cgroupsPath": "/"}}}.refused(t, "root")
	})
}

// TestIDTaken: two runs of one id do not share a group.
func TestIDTaken(t *testing.T) {
	each(t, func(t *testing.T, m mechanism) {
		if m.name == "pgroup" {
			t.Skip("has no names")
		}
		if m.name == "cgroupfs" && hasSystem {
			t.Skip("two scopes are two places")
		}
		id := newID()
		tr := trapped(t, call{mechanism: m, id: id}, "USR1")
		call{mechanism: m, id: id}.refused(t, id, "exists already")
		tr.signal(10)
		tr.want("SIGUSR1")
		tr.input.Close()
		tr.ran().exited(t, 0)
		nothingLeft(t, id)
	})
}
