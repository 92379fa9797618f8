package pgroup

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A conn carries messages and descriptors between owner and keeper. It is a
// stream, not SOCK_SEQPACKET: the arguments and environment of a workload may
// be larger than a packet can be. A message is its length in 4 bytes, with
// which the descriptors travel, and JSON.
type conn struct {
	f  *os.File
	mu sync.Mutex // one message at a time is written
}

const (
	lengthSize = 4
	maxFDs     = 3
	// maxMessage is beyond what execve(2) takes as arguments and environment
	// (6 MB with an unlimited stack), as base64.
	maxMessage = 16 << 20
)

// newConn takes over the socket fd.
func newConn(fd int) (*conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return &conn{f: os.NewFile(uintptr(fd), "keeper")}, nil
}

// send writes one message. The other side gets duplicates of fds.
func (c *conn) send(v any, fds ...int) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) > maxMessage {
		return os.NewSyscallError("execve", unix.E2BIG)
	}
	msg := binary.NativeEndian.AppendUint32(make([]byte, 0, lengthSize+len(body)), uint32(len(body)))
	msg = append(msg, body...)
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	raw, err := c.f.SyscallConn()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var n int
	var serr error
	err = raw.Write(func(fd uintptr) bool {
		for {
			n, serr = unix.SendmsgN(int(fd), msg, rights, nil, unix.MSG_NOSIGNAL)
			if serr != unix.EINTR {
				return serr != unix.EAGAIN
			}
		}
	})
	if err := errors.Join(err, os.NewSyscallError("sendmsg", serr)); err != nil {
		return err
	}
	_, err = c.f.Write(msg[n:]) // the descriptors went with the first byte
	return err
}

// receive reads one message into v. The caller closes the descriptors. Those
// for which this process has no room are missing (MSG_CTRUNC, unix(7)).
func (c *conn) receive(v any) (fds []int, err error) {
	defer func() {
		if err != nil {
			closeAll(fds)
			fds = nil
		}
	}()
	var length [lengthSize]byte
	n, fds, err := c.receiveStart(length[:])
	if err != nil {
		return fds, err
	}
	if _, err := io.ReadFull(c.f, length[n:]); err != nil {
		return fds, err
	}
	size := binary.NativeEndian.Uint32(length[:])
	if size > maxMessage {
		return fds, fmt.Errorf("a message of %d bytes", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c.f, body); err != nil {
		return fds, err
	}
	return fds, json.Unmarshal(body, v)
}

// receiveStart reads the beginning of a message and what came with it.
func (c *conn) receiveStart(p []byte) (n int, fds []int, err error) {
	raw, err := c.f.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	rights := make([]byte, unix.CmsgSpace(4*maxFDs))
	var rightsLen int
	var serr error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, rightsLen, _, _, serr = unix.Recvmsg(int(fd), p, rights, unix.MSG_CMSG_CLOEXEC)
			if serr != unix.EINTR {
				return serr != unix.EAGAIN
			}
		}
	})
	switch err := errors.Join(err, os.NewSyscallError("recvmsg", serr)); {
	case err != nil:
		return 0, nil, err
	case n == 0:
		return 0, nil, io.EOF
	}
	msgs, err := unix.ParseSocketControlMessage(rights[:rightsLen])
	if err != nil {
		return n, nil, err
	}
	for i := range msgs {
		got, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return n, fds, err
		}
		fds = append(fds, got...)
	}
	return n, fds, nil
}

// hangUp makes receive return io.EOF after what has been sent already.
func (c *conn) hangUp() error {
	raw, err := c.f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) { serr = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	return errors.Join(err, os.NewSyscallError("shutdown", serr))
}

func (c *conn) close() error { return c.f.Close() }

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
