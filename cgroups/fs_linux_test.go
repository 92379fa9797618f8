package cgroups

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/spawn"
)

func TestMain(m *testing.M) {
	if os.Args[0] == "clean-up" { // what a guard becomes
		if err := CleanUp(context.Background(), 2, os.Args[1:]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// need skips a test that needs what this host has not, or fails it if
// PKSHIM_REQUIRE says that the host has it.
func need(t *testing.T, name string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("PKSHIM_REQUIRE"), ","), name) {
		t.Fatalf("%s is required here: %v", name, err)
	}
	t.Skipf("needs %s: %v", name, err)
}

// place is a new cgroup of the test's own, below the root of the hierarchy.
func place(t *testing.T) (h *Host, cgroup string) {
	t.Helper()
	h, err := Inspect()
	need(t, "cgroupfs", err)
	cgroup = "/pkshim-test-" + strconv.FormatUint(rand.Uint64(), 36)
	dir := h.Mount.Point + cgroup
	need(t, "cgroupfs", os.Mkdir(dir, 0o755))
	t.Cleanup(func() {
		os.WriteFile(dir+"/cgroup.kill", []byte("1"), 0)
		d, err := openDir(h.Mount.Point)
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		c, err := d.child(cgroup[1:])
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		if err := errors.Join(c.awaitEmpty(context.Background()), d.remove(context.Background(), cgroup[1:])); err != nil {
			t.Error(err)
		}
	})
	return h, cgroup
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, e.Name())
		}
	}
	return dirs
}

func TestNewMakesAndRemovesTheLevelsAbove(t *testing.T) {
	h, top := place(t)
	g, err := New(context.Background(), FSOptions{ID: "x", Mount: h.Mount, Own: h.Own, Dir: top + "/a/b/c"})
	if err != nil {
		t.Fatal(err)
	}
	if g.Path != top+"/a/b/c" {
		t.Errorf("path %s", g.Path)
	}
	if err := g.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if left := names(t, h.Mount.Point+top); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestNewKeepsWhatWasThere(t *testing.T) {
	h, top := place(t)
	if err := os.MkdirAll(h.Mount.Point+top+"/a/b", 0o755); err != nil {
		t.Fatal(err)
	}
	g, err := New(context.Background(), FSOptions{ID: "x", Mount: h.Mount, Own: h.Own, Dir: top + "/a/b"})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, h.Mount.Point+top+"/a"); !slices.Equal(got, []string{"b"}) {
		t.Errorf("below a: %v", got)
	}
}

func TestNewRefuses(t *testing.T) {
	h, top := place(t)
	dir := h.Mount.Point + top
	for _, name := range []string{"full", "frozen"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/frozen/cgroup.freeze", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	sleeper := exec.Command("sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { sleeper.Process.Kill(); sleeper.Wait() }()
	if err := os.WriteFile(dir+"/full/cgroup.procs", []byte(strconv.Itoa(sleeper.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		own, dir string
		settings []Setting
		words    string
	}{
		{"a full cgroup", h.Own, top + "/full", nil, "it has processes"},
		{"a frozen cgroup", h.Own, top + "/frozen", nil, "it is frozen"},
		{"our own", top + "/x", top + "/x", nil, "pkshim is in it itself"},
		{"one above ours", top + "/x/y", top, nil, "pkshim is in it itself"},
		{"a missing controller", h.Own, top + "/new", []Setting{{Field: "f", Controller: "nosuch", File: "nosuch.max", Value: "1"}}, "nosuch controller is not available"},
		{"a missing file", h.Own, top + "/new", []Setting{{Field: "linux.x", File: "nosuch.max", Value: "1"}}, "linux.x: this kernel has no nosuch.max"},
		{"a value that the kernel refuses", h.Own, top + "/new", []Setting{{Field: "linux.x", File: "cgroup.max.depth", Value: "-7"}}, `write "-7" to`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, err := New(context.Background(), FSOptions{ID: "x", Mount: h.Mount, Own: tt.own, Dir: tt.dir, Settings: tt.settings})
			if err == nil {
				g.Close(context.Background())
				t.Fatal("made")
			}
			if !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%v: no %q", err, tt.words)
			}
		})
	}
	if got := names(t, dir); !slices.Equal(got, []string{"frozen", "full"}) && !slices.Equal(got, []string{"full", "frozen"}) {
		t.Errorf("left: %v", got)
	}
}

// A workload may make cgroups of its own; all of them go.
func TestCloseRemovesWhatTheWorkloadMade(t *testing.T) {
	h, top := place(t)
	g, err := New(context.Background(), FSOptions{ID: "x", Mount: h.Mount, Own: h.Own, Dir: top + "/w"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(h.Mount.Point+g.Path+"/a/b/c", 0o755); err != nil {
		t.Fatal(err)
	}
	script := "echo $$ >" + h.Mount.Point + path.Join(g.Path, "a/b/c/cgroup.procs") + "; exec sleep 1000"
	p, err := g.Start(context.Background(), &spawn.Command{Args: []string{"/bin/sh", "-c", script}, Stdio: [3]int{0, 1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if pids, err := g.Pids(); err != nil || !slices.Equal(pids, []int{p.Pid()}) {
		t.Errorf("members %v, %v", pids, err)
	}
	if err := g.Close(context.Background()); !errors.Is(err, unix.EBUSY) {
		t.Errorf("close with a member: %v", err)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.Wait(context.Background()), g.Close(context.Background())); err != nil {
		t.Fatal(err)
	}
	if left := names(t, h.Mount.Point+top); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestStartInFrozen(t *testing.T) {
	h, top := place(t)
	g, err := New(context.Background(), FSOptions{ID: "x", Mount: h.Mount, Own: h.Own, Dir: top + "/w"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if err := g.leaf.write("cgroup.freeze", "1"); err != nil {
		t.Fatal(err)
	}
	_, err = g.Start(context.Background(), &spawn.Command{Args: []string{"/bin/true"}, Stdio: [3]int{0, 1, 2}})
	if !errors.Is(err, ErrFrozen) {
		t.Errorf("start in a frozen cgroup: %v", err)
	}
}

// What a guard becomes removes the cgroup, with what the workload made in it.
func TestCleanUp(t *testing.T) {
	h, top := place(t)
	dir := h.Mount.Point + top
	if err := os.MkdirAll(dir+"/new/leaf/own", 0o755); err != nil {
		t.Fatal(err)
	}
	parent, err := openDir(dir + "/new")
	if err != nil {
		t.Fatal(err)
	}
	defer parent.close()
	if err := CleanUp(context.Background(), parent.fd, []string{"directory", parent.path, "leaf", parent.path}); err != nil {
		t.Fatal(err)
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := CleanUp(context.Background(), parent.fd, []string{"directory", parent.path, "leaf"}); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if err := CleanUp(context.Background(), parent.fd, nil); err == nil {
		t.Error("without arguments")
	}
}

// A container may have just its own part of the hierarchy mounted.
func TestNewInASubtreeMount(t *testing.T) {
	h, top := place(t)
	part := Mount{Point: h.Mount.Point + top, Root: top}
	g, err := New(context.Background(), FSOptions{ID: "x", Mount: part, Own: top})
	if err != nil {
		t.Fatal(err)
	}
	if g.Path != top+"/pkshim-x" {
		t.Errorf("path %s", g.Path)
	}
	if got := names(t, part.Point); !slices.Equal(got, []string{"pkshim-x"}) {
		t.Errorf("made %v", got)
	}
	if err := g.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := New(context.Background(), FSOptions{ID: "x", Mount: part, Own: "/elsewhere"}); err == nil {
		t.Error("made a cgroup that the mount does not show")
	}
}
