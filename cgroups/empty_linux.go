package cgroups

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// awaitEmpty waits until neither the cgroup nor one below it has a process.
// The kernel notifies readers of cgroup.events with POLLPRI.
func (d *dir) awaitEmpty(ctx context.Context) error {
	fd, err := d.open("cgroup.events", unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		if isGone(err) {
			return nil
		}
		return err
	}
	if empty, err := emptyNow(fd); empty || err != nil {
		unix.Close(fd)
		return err
	}
	f := os.NewFile(uintptr(fd), filepath.Join(d.path, "cgroup.events"))
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var rerr error
	err = conn.Read(func(fd uintptr) bool {
		var empty bool
		empty, rerr = emptyNow(int(fd))
		return empty || rerr != nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("wait until %s is empty: %w", d.path, ctx.Err())
	}
	return errors.Join(err, rerr)
}

func emptyNow(fd int) (bool, error) {
	var buf [256]byte
	n, err := unix.Pread(fd, buf[:], 0)
	if err == unix.ENODEV {
		return true, nil
	}
	if err != nil {
		return false, os.NewSyscallError("pread", err)
	}
	keys, err := parseFlat("cgroup.events", buf[:n])
	if err != nil {
		return false, err
	}
	populated, ok := keys["populated"]
	if !ok {
		return false, &ParseError{File: "cgroup.events", Err: errors.New(`no "populated"`)}
	}
	return populated == 0, nil
}

// remove removes the sub-directory name with everything below it. It kills
// nothing: a cgroup with processes is EBUSY. An absent one is success.
func (d *dir) remove(ctx context.Context, name string) error {
	err := d.rmdir(name)
	if err == nil || isGone(err) {
		return nil
	}
	c, cerr := d.child(name)
	if cerr != nil {
		if isGone(cerr) {
			return nil
		}
		return errors.Join(err, cerr)
	}
	defer c.close()
	below, cerr := c.children()
	if cerr != nil {
		return errors.Join(err, cerr)
	}
	for _, b := range below {
		if err := c.remove(ctx, b); err != nil {
			return err
		}
	}
	// "populated 0" comes when the last process is dead, and rmdir is EBUSY for
	// the moment until it is unlinked from the cgroup: there is no event for
	// that, so the retries are bounded. Measured: the first one succeeds.
	for wait := time.Millisecond; ; wait *= 2 {
		err := d.rmdir(name)
		if err == nil || isGone(err) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || wait > 256*time.Millisecond {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(wait):
		}
	}
}

func (d *dir) rmdir(name string) error {
	if err := unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR); err != nil {
		return &fs.PathError{Op: "rmdir", Path: filepath.Join(d.path, name), Err: err}
	}
	return nil
}
