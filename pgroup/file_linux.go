package pgroup

import (
	"os"

	"golang.org/x/sys/unix"
)

// readFile and readDir are for /proc, where a tree is read thousands of files
// at a time: package os would register each with the poller.

func readFile(name string) (string, error) {
	fd, err := open(name, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var text []byte
	var buf [4096]byte
	for {
		n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, buf[:]) })
		if err != nil {
			return "", &os.PathError{Op: "read", Path: name, Err: err}
		}
		if n == 0 {
			return string(text), nil
		}
		text = append(text, buf[:n]...)
	}
}

func readDir(name string) ([]string, error) {
	fd, err := open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var names []string
	var buf [8192]byte
	for {
		n, err := ignoringEINTR(func() (int, error) { return unix.ReadDirent(fd, buf[:]) })
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: name, Err: err}
		}
		if n == 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names) // without . and ..
	}
}

func open(name string, flags int) (int, error) {
	fd, err := ignoringEINTR(func() (int, error) { return unix.Open(name, flags|unix.O_CLOEXEC, 0) })
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}

func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}
