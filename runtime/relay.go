package runtime

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/pkshim/pkshim/pgroup/spawn"
	"github.com/pkshim/pkshim/spec"
)

// A relay passes the signals that pkshim receives on to the workload. SIGTERM
// is a request to end the whole tree and goes to stop.
type relay struct {
	stop chan struct{} // closed by the first SIGTERM after the start

	terminal terminal
	done     chan struct{} // ends the goroutine
	ended    chan struct{} // it ended

	mu      sync.Mutex
	cancel  context.CancelCauseFunc // of the set-up
	early   bool                    // SIGTERM came before the start
	proc    spawn.Process
	signals []spec.ForwardedSignal
}

func newRelay(o *Options, cancel context.CancelCauseFunc) (*relay, error) {
	r := &relay{stop: make(chan struct{}), done: make(chan struct{}), ended: make(chan struct{}), cancel: cancel}
	if o.Terminal {
		if err := r.terminal.watch(); err != nil {
			return nil, err
		}
	}
	go r.loop(o.Signals)
	return r, nil
}

func (r *relay) loop(signals <-chan os.Signal) {
	defer close(r.ended)
	for {
		select {
		case <-r.done:
			return
		case sig, ok := <-signals:
			if !ok {
				signals = nil // closed: no more
				continue
			}
			if n, ok := sig.(syscall.Signal); ok {
				r.handle(n)
			}
		}
	}
}

func (r *relay) handle(sig syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proc == nil {
		switch sig {
		case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP:
			r.early = true
			r.cancel(&CanceledError{Signal: sig})
		}
		return
	}
	if r.terminal.reachedAll(sig) {
		return // the workload has it already
	}
	r.signals = append(r.signals, spec.ForwardedSignal{Signal: signalName(sig), At: time.Now()})
	if sig == syscall.SIGTERM {
		r.stopOnce()
		return
	}
	// A process that has just ended is waited for elsewhere; one that may not
	// be signalled (it changed its user) has the report say what happened.
	if err := r.proc.Signal(sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		last := &r.signals[len(r.signals)-1]
		last.Error = err.Error()
	}
}

func (r *relay) stopOnce() {
	select {
	case <-r.stop:
	default:
		close(r.stop)
	}
}

// started names the process that signals go to from now on.
func (r *relay) started(proc spawn.Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.proc = proc
	if r.early { // it came when it was too late to cancel the start
		r.stopOnce()
	}
}

func (r *relay) forwarded() []spec.ForwardedSignal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.signals
}

func (r *relay) close() {
	close(r.done)
	<-r.ended
	r.terminal.close()
}
