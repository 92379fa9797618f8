package cgroups

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/spawn"
)

// FSOptions say which cgroup New makes.
type FSOptions struct {
	// ID names the cgroup: pkshim-ID.
	ID string
	// Mount is where the v2 hierarchy is mounted.
	Mount Mount
	// Own is the cgroup of this process, below which the new one is made.
	Own string
	// Dir makes the cgroup at this path instead, with the levels above it that
	// are missing. Relative paths are below Own.
	Dir string
	// Settings are the limits.
	Settings []Setting
	// Guard is the program, with arguments, that the guard executes to remove
	// the cgroup when this process was killed: [CleanUp] does that work.
	Guard []string
}

// supervisor is the leaf for processes that are not the workload's.
const supervisor = "supervisor"

// statsControllers are enabled for their counters where that costs nothing.
var statsControllers = []string{"memory", "pids", "io", "cpu"}

// New makes a cgroup in the file system. Nothing is left if it fails, but for
// processes that were moved to the supervisor leaf.
func New(ctx context.Context, o FSOptions) (_ *Group, err error) {
	parentPath, name, err := o.place()
	if err != nil {
		return nil, err
	}
	g := &Group{Path: path.Join(parentPath, name)}
	chain, err := openChain(ctx, o.Mount, parentPath, Controllers(o.Settings))
	if err != nil {
		return nil, err
	}
	parent := chain.last()
	undoCtx := context.WithoutCancel(ctx)
	undo := func() error { return chain.remove(undoCtx) }
	defer func() {
		if err != nil {
			err = errors.Join(err, undo())
		}
	}()
	if err := o.makeRoom(g, parent); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", parent.path, err)
	}
	existed, err := takeLeaf(g, parent, name, o.Dir != "")
	if err != nil {
		return nil, err
	}
	remove := func(ctx context.Context) error {
		if existed {
			return chain.remove(ctx)
		}
		return errors.Join(parent.remove(ctx, name), chain.remove(ctx))
	}
	undo = func() error { return errors.Join(g.guard.Dismiss(), remove(undoCtx), g.leaf.close()) }
	if err := apply(g.leaf, o.Settings); err != nil {
		return nil, fmt.Errorf("set limits of cgroup %s: %w", g.Path, err)
	}
	if err := o.arm(g, parent, name, chain); err != nil {
		return nil, err
	}
	g.destroy = func(ctx context.Context) error {
		g.guard.Stop() // its end takes as long as the removal
		return errors.Join(remove(ctx), g.guard.Dismiss())
	}
	return g, nil
}

// place splits the cgroup's path into the parent's and its own name.
func (o *FSOptions) place() (parent, name string, err error) {
	own := o.Own
	if path.Base(own) == supervisor {
		own = path.Dir(own) // an earlier run moved itself there
	}
	if o.Dir == "" {
		return own, "pkshim-" + o.ID, nil
	}
	full := o.Dir
	if !path.IsAbs(full) {
		full = path.Join(own, full)
	}
	full = path.Clean(full)
	if full == "/" || o.Own == full || strings.HasPrefix(o.Own+"/", full+"/") {
		return "", "", fmt.Errorf("cgroup %s: pkshim is in it itself (in %s): choose one that it is not below", full, o.Own)
	}
	return path.Dir(full), path.Base(full), nil
}

// makeRoom enables the controllers in the parent. Where that is this process's
// own cgroup, it must leave it first: a cgroup with processes cannot pass
// controllers on (cgroups(7), "no internal processes" rule), the root excepted.
func (o *FSOptions) makeRoom(g *Group, parent *dir) error {
	needed := Controllers(o.Settings)
	if !parent.has("cgroup.events") {
		return enable(parent, needed, nil) // the real root: the host's, so only what must be
	}
	enabled, err := parent.fields("cgroup.subtree_control")
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(needed), func(c string) bool { return slices.Contains(enabled, c) })
	pids, err := parent.procs()
	if err != nil {
		return err
	}
	alone := len(pids) == 1 && pids[0] == os.Getpid()
	switch {
	case len(pids) == 0:
	case alone || len(missing) > 0:
		if err := moveToSupervisor(g, parent); err != nil {
			return err
		}
	default:
		return nil // others are in it and no limit needs a controller: counters are not worth moving them
	}
	return enable(parent, needed, statsControllers)
}

// moveToSupervisor empties a cgroup that is ours to manage, by moving its
// processes, this one first, to a leaf.
func moveToSupervisor(g *Group, parent *dir) error {
	leaf, err := parent.make(supervisor)
	if errors.Is(err, unix.EEXIST) {
		leaf, err = parent.child(supervisor)
	}
	if err != nil {
		return err
	}
	defer leaf.close()
	// A process may fork while it is moved, so look again; each round moves all
	// that were there.
	for range 16 {
		pids, err := parent.procs()
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			return nil
		}
		others := 0
		for _, pid := range pids {
			if pid == 0 {
				return fmt.Errorf("a process of another pid namespace is in %s and cannot be moved", parent.path)
			}
			if pid != os.Getpid() {
				others++
			}
			if err := leaf.write("cgroup.procs", fmt.Sprint(pid)); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		if others > 0 {
			g.Notes = append(g.Notes, fmt.Sprintf("%d other processes of %s were moved to its %s leaf: limits need a cgroup without processes of its own", others, parent.path, supervisor))
		}
	}
	return fmt.Errorf("%s does not become empty: its processes fork faster than they can be moved", parent.path)
}

// takeLeaf makes the workload's cgroup, or takes over an empty one that the
// caller named.
func takeLeaf(g *Group, parent *dir, name string, named bool) (existed bool, err error) {
	g.leaf, err = parent.make(name)
	if !errors.Is(err, unix.EEXIST) {
		return false, err
	}
	if !named {
		return false, fmt.Errorf("make cgroup %s: it exists already: choose another id, or remove it if nothing runs in it: %w", g.Path, err)
	}
	leaf, err := parent.child(name)
	if err != nil {
		return false, err
	}
	for key, problem := range map[string]string{"populated": "it has processes", "frozen": "it is frozen"} {
		set, err := leaf.event(key)
		if err != nil || set {
			leaf.close()
			if err == nil {
				err = fmt.Errorf("take cgroup %s: %s: choose another one or empty it", g.Path, problem)
			}
			return false, err
		}
	}
	g.leaf = leaf
	return true, nil
}

// arm starts the guard, which holds cgroup.kill and the parent directory.
func (o *FSOptions) arm(g *Group, parent *dir, name string, chain *chain) error {
	kill, err := g.leaf.open("cgroup.kill", unix.O_WRONLY)
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("kill cgroups (needs Linux 5.14): %w", err)
	} else if err != nil {
		return err
	}
	defer unix.Close(kill)
	args := o.Guard
	if len(args) > 0 {
		args = slices.Concat(args, []string{cleanDirectory, parent.path, name}, chain.made())
	}
	g.guard, err = spawn.NewGuard(spawn.AtOwnersEnd{Kill: kill, Dir: parent.fd, Args: args})
	return err
}

// A chain is the way from the hierarchy's root to a cgroup, with the levels
// that did not exist before.
type chain struct {
	dirs  []*dir
	fresh []bool
}

// openChain opens every level of a cgroup's path that the mount shows, makes the
// missing ones and enables the needed controllers above them.
func openChain(ctx context.Context, m Mount, cgroup string, needed []string) (_ *chain, err error) {
	full, ok := m.Dir(cgroup)
	if !ok {
		return nil, fmt.Errorf("cgroup %s is not below %s of the hierarchy, all that %s shows", cgroup, m.Root, m.Point)
	}
	root, err := openDir(m.Point)
	if err != nil {
		return nil, err
	}
	c := &chain{dirs: []*dir{root}, fresh: []bool{false}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.remove(ctx))
		}
	}()
	for name := range strings.SplitSeq(strings.Trim(strings.TrimPrefix(full, m.Point), "/"), "/") {
		if name == "" {
			continue
		}
		d, err := c.last().child(name)
		fresh := errors.Is(err, unix.ENOENT)
		if fresh {
			if err := enable(c.last(), needed, nil); err != nil {
				return nil, err
			}
			d, err = c.last().make(name)
		}
		if err != nil {
			return nil, err
		}
		c.dirs, c.fresh = append(c.dirs, d), append(c.fresh, fresh)
	}
	return c, nil
}

func (c *chain) last() *dir { return c.dirs[len(c.dirs)-1] }

// made lists the fresh levels, deepest first.
func (c *chain) made() []string {
	var paths []string
	for i := len(c.dirs) - 1; i >= 0; i-- {
		if c.fresh[i] {
			paths = append(paths, c.dirs[i].path)
		}
	}
	return paths
}

// remove closes every level and removes the fresh ones, unless others use them now.
func (c *chain) remove(ctx context.Context) error {
	var errs []error
	for i := len(c.dirs) - 1; i >= 0; i-- {
		if c.fresh[i] {
			err := c.dirs[i-1].remove(ctx, filepath.Base(c.dirs[i].path))
			if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) {
				errs = append(errs, err)
			}
		}
		c.dirs[i].close()
	}
	c.dirs = nil
	return errors.Join(errs...)
}
