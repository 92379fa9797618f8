package pgroup

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
	"github.com/pkshim/pkshim/pgroup/spawn"
)

// A start is a request to start a process on its way to the one thread that
// starts processes.
type start struct {
	id    uint64
	ctx   context.Context // of the request: canceled by another one
	cmd   *spawn.Command
	stdio []int
}

// serve does what the owner asks for until the owner hangs up. A keeper whose
// owner lives goes on then: what it keeps is still to die with the owner.
func (k *keeper) serve() {
	for {
		var r request
		fds, err := k.conn.receive(&r)
		if err != nil {
			return
		}
		switch r.Do {
		case doStart:
			k.queue(&r, fds)
		case doCancel:
			k.cancel(r.Target)
		default:
			closeAll(fds)
			k.do(&r)
		}
	}
}

// do does what takes no time to speak of.
func (k *keeper) do(r *request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := answer{ID: r.ID}
	var err error
	switch r.Do {
	case doSignal:
		err = k.tree.signal(r.Signal)
	case doKill:
		err = k.tree.kill()
	case doPids:
		a.Pids, err = k.tree.pids()
	case doStats:
		a.Usage, err = k.usage()
	case doDiscard:
		if pid := int(r.Target); k.workloads[pid] { // not reaped, so the number is still its own
			err = os.NewSyscallError("kill", unix.Kill(pid, unix.SIGKILL))
		}
	case doClose:
		err = k.closable()
		k.ending = err == nil
	default:
		err = fmt.Errorf("request %q: %w", r.Do, errors.ErrUnsupported)
	}
	a.Failures = failures(err)
	_ = k.conn.send(a) // an owner that is gone needs no answer
	if r.Do == doClose && err == nil {
		os.Exit(0)
	}
}

// closable returns nil if there is no child and none is on the way.
func (k *keeper) closable() error {
	if k.reap() && !k.starting {
		return nil
	}
	pids, err := k.tree.pids()
	if err != nil {
		return err
	}
	return fmt.Errorf("%d processes remain: %w", len(pids), unix.EBUSY)
}

// queue has the process started when its turn comes.
func (k *keeper) queue(r *request, fds []int) {
	ctx, cancel := context.WithCancel(context.Background())
	k.mu.Lock()
	k.waiting[r.ID] = cancel
	k.mu.Unlock()
	s := &start{id: r.ID, ctx: ctx, stdio: fds}
	if r.Start != nil && len(fds) == 3 {
		s.cmd = r.Start.command([3]int(fds))
	}
	go func() { k.starts <- s }()
}

func (k *keeper) cancel(id uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if cancel, ok := k.waiting[id]; ok {
		cancel()
	}
}

// start runs on the keeper's first thread.
func (k *keeper) start(s *start) {
	var p spawn.Process
	err := k.beginStart(s)
	if err == nil {
		p, err = s.cmd.Start(s.ctx)
	}
	closeAll(s.stdio) // the workload has them: its end of a pipe must be the last one
	k.endStart(s, p, err)
}

func (k *keeper) beginStart(s *start) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case s.cmd == nil:
		return &spawn.StartError{Step: "take over descriptors 0, 1 and 2", Err: unix.EMFILE}
	case k.ending:
		return os.ErrClosed
	case s.ctx.Err() != nil:
		return s.ctx.Err()
	}
	k.starting = true
	return nil
}

func (k *keeper) endStart(s *start, p spawn.Process, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting[s.id]()
	delete(k.waiting, s.id)
	k.starting = false
	if err == nil {
		err = k.tellStart(s.id, p.(*pidfd.FD))
		p.Close()
	}
	if err != nil {
		_ = k.conn.send(answer{ID: s.id, Failures: failures(err)})
	}
	clear(k.exits)
	k.changed.Broadcast()
}

// tellStart answers a start that went well. The owner gets the pidfd that the
// clone returned; where that cannot be sent, the process cannot stay.
func (k *keeper) tellStart(id uint64, p *pidfd.FD) error {
	raw, err := p.File().SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) { serr = k.conn.send(answer{ID: id, Pid: p.Pid()}, int(fd)) })
	k.empty = false
	if err := errors.Join(err, serr); err != nil {
		return errors.Join(fmt.Errorf("pass on the pidfd of process %d: %w", p.Pid(), err), p.Signal(unix.SIGKILL))
	}
	k.workloads[p.Pid()] = true
	if e := k.exits[p.Pid()]; e != nil { // it was quick
		k.tellExit(p.Pid(), e)
	}
	return nil
}

func (k *keeper) tellExit(pid int, e *pidfd.Exit) {
	delete(k.workloads, pid)
	_ = k.conn.send(answer{Pid: pid, Exit: e})
}
