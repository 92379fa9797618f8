package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A workload is what every peer runs.
type workload struct {
	args   []string
	memory int64 // limit in bytes, 0: none
}

// nothing is the workload whose cost is only that of running it.
var nothing = workload{args: []string{"true"}}

// A peer is a way to run a workload to its end.
type peer struct {
	name string
	// most is what pkshim's median may be of this peer's; 0: there is no target.
	most float64
	// group is a part of the path of the cgroup that the peer makes for the
	// workload; "": it makes none.
	group string
	// unchecked is set for what runs no workload.
	unchecked bool
	// command is the command line of one run, id a name not used before.
	command func(b *bench, id string, w workload) ([]string, error)
}

var (
	bare = peer{name: "fork and exec", command: func(_ *bench, _ string, w workload) ([]string, error) {
		return w.args, nil
	}}
	systemdRun = peer{name: "systemd-run --scope", group: ".scope", command: func(_ *bench, _ string, w workload) ([]string, error) {
		command := []string{"systemd-run", "--scope", "--quiet"}
		if w.memory > 0 {
			command = append(command, fmt.Sprintf("--property=MemoryMax=%d", w.memory))
		}
		return append(command, w.args...), nil
	}}
)

func pkshim(mechanism, group string) peer {
	return peer{name: "pkshim " + mechanism, group: group, command: func(_ *bench, _ string, w workload) ([]string, error) {
		command := []string{"./pkshim", "run", "--mechanism", mechanism}
		if w.memory > 0 {
			command = append(command, "--memory", strconv.FormatInt(w.memory, 10))
		}
		return append(append(command, "--"), w.args...), nil
	}}
}

// crun and runc are asked for what pkshim does: to run a process of this host in
// a cgroup of its own. crun needs no namespace for it. runc does: without one it
// mounts the root over itself in ours, at each run once more.
var (
	crun = ociRuntime{program: "crun", root: "/", namespaces: []object{}}
	runc = ociRuntime{program: "runc", root: rootCopy, namespaces: []object{{"type": "mount"}}}
)

type ociRuntime struct {
	program, root string
	namespaces    []object
}

type object = map[string]any

func (o ociRuntime) cgroupfs() peer {
	return peer{name: o.program + " run", group: "/peer", command: func(b *bench, id string, w workload) ([]string, error) {
		bundle, err := b.bundle(o, b.beside("peer"), w)
		return []string{o.program, "run", "--bundle", bundle, id}, err
	}}
}

func (o ociRuntime) systemd() peer {
	return peer{name: o.program + " --systemd-cgroup run", group: ".scope", command: func(b *bench, id string, w workload) ([]string, error) {
		bundle, err := b.bundle(o, "", w)
		return []string{o.program, "--systemd-cgroup", "run", "--bundle", bundle, id}, err
	}}
}

// than sets the target.
func (p peer) than(most float64) peer {
	p.most = most
	return p
}

// line is the command line of one run, its program looked up.
func (p *peer) line(b *bench, w workload) ([]string, error) {
	b.ids++
	line, err := p.command(b, fmt.Sprintf("bench-%d", b.ids), w)
	if err != nil {
		return nil, err
	}
	line[0], err = exec.LookPath(line[0])
	return line, err
}

// bundle writes the bundle of a workload, once. crun wants even the lists that
// are empty.
func (b *bench) bundle(o ociRuntime, cgroup string, w workload) (string, error) {
	resources := object{}
	if w.memory > 0 {
		resources["memory"] = object{"limit": w.memory}
	}
	config, err := json.Marshal(object{
		"ociVersion": "1.0.2",
		"process": object{
			"user": object{"uid": 0, "gid": 0}, "cwd": "/", "args": w.args, "env": []string{"PATH=" + os.Getenv("PATH")},
		},
		"root":   object{"path": o.root},
		"mounts": []any{},
		"linux":  object{"cgroupsPath": cgroup, "namespaces": o.namespaces, "resources": resources},
	})
	if err != nil {
		return "", err
	}
	dir, ok := b.bundles[string(config)]
	if !ok {
		dir = filepath.Join(b.dir, strconv.Itoa(len(b.bundles)))
		b.bundles[string(config)] = dir
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
		err = os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644)
	}
	return dir, err
}

// rootCopy is the root once more: runc cannot pivot_root(2) to / itself.
const rootCopy = "/run/pkshim-bench-root"

// mountRoot mounts it. It is no tree to remove: what is in it is the root's.
func mountRoot() (undo func() error, err error) {
	if err := os.Mkdir(rootCopy, 0o755); err != nil {
		return nil, err
	}
	undo = func() error {
		return errors.Join(unix.Unmount(rootCopy, unix.MNT_DETACH), os.Remove(rootCopy))
	}
	for _, dir := range []string{"/", "/proc"} {
		if err := unix.Mount(dir, rootCopy+dir, "", unix.MS_BIND, ""); err != nil {
			return nil, errors.Join(fmt.Errorf("bind %s to %s: %w", dir, rootCopy+dir, err), undo())
		}
	}
	return undo, nil
}

// check makes sure that the peer does what it is measured for, so that none is
// fast because it fails: it runs the workload in the cgroup it should, returns
// its exit code, and leaves neither a cgroup nor a mount.
func (p *peer) check(b *bench) error {
	if p.unchecked {
		return nil
	}
	const code = 7
	before, err := mounts()
	if err != nil {
		return err
	}
	line, err := p.line(b, workload{args: []string{"sh", "-c", fmt.Sprintf("cat /proc/self/cgroup; exit %d", code)}})
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	c := exec.Command(line[0], line[1:]...)
	c.Stderr = &stderr
	out, err := c.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		return fmt.Errorf("%q: want exit code %d, have %v: %s", line, code, err, bytes.TrimSpace(stderr.Bytes()))
	}
	after, err := mounts()
	cgroup, ok := unifiedPath(string(out))
	switch {
	case err != nil:
		return err
	case after != before:
		return fmt.Errorf("%q: there were %d mounts on this host, and now %d", line, before, after)
	case !ok:
		return fmt.Errorf("%q: the workload did not print its cgroup but %q", line, out)
	case p.group == "" && cgroup != b.own:
		return fmt.Errorf("%q: the workload was in cgroup %s", line, cgroup)
	case p.group == "":
		return nil
	case cgroup == b.own || !strings.Contains(cgroup, p.group):
		return fmt.Errorf("%q: the workload was in cgroup %s: want one with %q", line, cgroup, p.group)
	}
	return gone(cgroup)
}

// gone waits for the end of a cgroup. systemd-run leaves its scope to systemd.
func gone(cgroup string) error {
	for wait := time.Millisecond; wait < 4*time.Second; wait *= 2 {
		if _, err := os.Stat(mount + cgroup); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		time.Sleep(wait)
	}
	return fmt.Errorf("cgroup %s was left behind", cgroup)
}

func mounts() (int, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	return bytes.Count(text, []byte("\n")), err
}
