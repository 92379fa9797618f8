package cgroups

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A dir is an open cgroup directory. All access goes through the descriptor:
// a path could meanwhile name another cgroup.
type dir struct {
	fd   int
	path string // where it was opened, for messages
}

// openDir opens a cgroup directory by its path in the file system.
func openDir(path string) (*dir, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		unix.Close(fd)
		if err == nil {
			err = errors.New("not a cgroup v2 directory")
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &dir{fd: fd, path: path}, nil
}

func (d *dir) close() error { return unix.Close(d.fd) }

// beneath keeps a name inside of the directory: no links, no "..", no mounts.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

func (d *dir) open(name string, flags uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: beneath}
	for {
		fd, err := unix.Openat2(d.fd, name, &how)
		if err == unix.EINTR || err == unix.EAGAIN { // openat2(2): a rename elsewhere raced
			continue
		}
		if err != nil {
			return -1, &fs.PathError{Op: "open", Path: filepath.Join(d.path, name), Err: err}
		}
		return fd, nil
	}
}

// child opens a sub-directory.
func (d *dir) child(name string) (*dir, error) {
	fd, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &dir{fd: fd, path: filepath.Join(d.path, name)}, nil
}

// make creates a sub-directory and opens it.
func (d *dir) make(name string) (*dir, error) {
	if err := unix.Mkdirat(d.fd, name, 0o755); err != nil {
		return nil, &fs.PathError{Op: "mkdir", Path: filepath.Join(d.path, name), Err: err}
	}
	c, err := d.child(name)
	if err != nil {
		return nil, errors.Join(err, unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR))
	}
	return c, nil
}

// has says that the file is there.
func (d *dir) has(name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// read returns a whole file. After the cgroup is gone the error is ENODEV. It
// makes no os.File, whose care for pollers costs more than the read.
func (d *dir) read(name string) ([]byte, error) {
	fd, err := d.open(name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	data := make([]byte, 0, 512)
	for {
		n, err := unix.Read(fd, data[len(data):cap(data)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: filepath.Join(d.path, name), Err: err}
		case n == 0:
			return data, nil
		}
		data = data[:len(data)+n]
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}

// write gives value to a file in one write, as the kernel wants it; it never
// creates or truncates.
func (d *dir) write(name, value string) error {
	fd, err := d.open(name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Write(fd, []byte(value))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("write %q to %s: %w", value, filepath.Join(d.path, name), err)
		case n != len(value):
			return fmt.Errorf("write %q to %s: %w", value, filepath.Join(d.path, name), io.ErrShortWrite)
		}
		return nil
	}
}

// fields reads a file of words.
func (d *dir) fields(name string) ([]string, error) {
	b, err := d.read(name)
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(b)), nil
}

// event reads one key of cgroup.events.
func (d *dir) event(key string) (bool, error) {
	b, err := d.read("cgroup.events")
	if err != nil {
		return false, err
	}
	keys, err := parseFlat("cgroup.events", b)
	if err != nil {
		return false, err
	}
	v, ok := keys[key]
	if !ok {
		return false, &ParseError{File: "cgroup.events", Err: fmt.Errorf("no %q", key)}
	}
	return v != 0, nil
}

// procs lists the processes directly in the cgroup. Those that this pid
// namespace does not know read as 0 and are kept so: they count.
func (d *dir) procs() ([]int, error) {
	words, err := d.fields("cgroup.procs")
	if err != nil {
		return nil, err
	}
	pids := make([]int, len(words))
	for i, w := range words {
		if pids[i], err = strconv.Atoi(w); err != nil {
			return nil, &ParseError{File: "cgroup.procs", Err: err}
		}
	}
	return pids, nil
}

// children names the sub-directories.
func (d *dir) children() ([]string, error) {
	fd, err := d.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), d.path)
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// tree lists the processes of the cgroup and of every one below it. A cgroup
// that vanished meanwhile had none.
func (d *dir) tree() ([]int, error) {
	pids, err := d.procs()
	if err != nil {
		return nil, err
	}
	names, err := d.children()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		c, err := d.child(name)
		if isGone(err) {
			continue
		} else if err != nil {
			return nil, err
		}
		below, err := c.tree()
		c.close()
		if err != nil && !isGone(err) {
			return nil, err
		}
		pids = append(pids, below...)
	}
	return pids, nil
}

// isGone says that a cgroup was removed: ENOENT by name, ENODEV by descriptor.
func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}

// kill sends SIGKILL to every process of the sub-tree, atomically and through
// a freeze. It does not wait.
func (d *dir) kill() error {
	err := d.write("cgroup.kill", "1")
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("kill cgroup (needs Linux 5.14): %w", err)
	}
	return err
}
