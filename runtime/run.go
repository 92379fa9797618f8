package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/pkshim/pkshim/pgroup/pidfd"
	"github.com/pkshim/pkshim/pgroup/spawn"
	"github.com/pkshim/pkshim/spec"
)

// Options say what to run and how.
type Options struct {
	// ID names the run and its group; see spec.ValidateID.
	ID string
	// Spec is valid (spec.Spec.Validate).
	Spec *spec.Spec
	// Mechanism is auto, which "" means too, or the only one to be used.
	Mechanism spec.Mechanism
	// Slice is the systemd slice of the unit; "" is the manager's default.
	Slice string
	// Timeout ends the tree that long after the program was started; 0: never.
	Timeout time.Duration
	// Grace is how long a tree that is asked to end has before it is killed.
	Grace time.Duration
	// Stdio are the descriptors that become the workload's 0, 1 and 2.
	Stdio [3]int
	// Terminal keeps the workload in the caller's process group, where the
	// terminal's own signals and job control reach it.
	Terminal bool
	// Signals are passed on to the workload; SIGTERM ends the whole tree. Nil:
	// there are none.
	Signals <-chan os.Signal
}

const (
	// startTimeout bounds a start: a frozen cgroup stops it for ever.
	startTimeout = 30 * time.Second
	// killTimeout is how long the kernel has to end what was killed; only a
	// process in uninterruptible sleep needs longer.
	killTimeout = 30 * time.Second
	// namedLeftovers is how many leftovers are named in a report.
	namedLeftovers = 20
)

// A run is one workload from its options to its report.
type run struct {
	o      *Options
	report *spec.Report
	group  *opened
	relay  *relay
	cause  spec.Reason // why pkshim ended the tree, "" if it did not
	killed bool        // SIGKILL was sent to the whole group
}

// Run runs one workload and returns when all of it is gone. The report is never
// nil. The error says that pkshim could not do what was asked; how the workload
// ended is in the report alone. When ctx ends, the tree is ended.
func Run(ctx context.Context, o Options) (*spec.Report, error) {
	r := &run{o: &o, report: &spec.Report{
		Version: spec.ReportVersion, ID: o.ID, CreatedAt: time.Now(),
		Candidates: []spec.Candidate{}, AbruptCleanup: spec.AbruptNone,
		Exit: spec.ExitStatus{Reason: spec.ReasonNotStarted},
	}}
	err := r.run(ctx)
	if r.group == nil {
		r.report.Cleanup = spec.Cleanup{Empty: true, Removed: true} // nothing was made
	}
	r.report.FinishedAt = time.Now()
	if err != nil {
		r.report.Error = err.Error()
	}
	return r.report, err
}

func (r *run) run(ctx context.Context) error {
	setup, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var err error
	if r.relay, err = newRelay(r.o, cancel); err != nil {
		return err
	}
	defer r.relay.close()
	proc, err := r.start(setup)
	if err != nil {
		return r.startFailed(setup, err)
	}
	defer proc.Close()
	exit, err := r.attend(ctx, proc)
	r.sweep()
	r.account(exit, err)
	r.close()
	r.report.Signals = r.relay.forwarded()
	return nil
}

// start opens a group and starts the workload in it.
func (r *run) start(ctx context.Context) (spawn.Process, error) {
	cmd, warnings, err := newCommand(r.o)
	if err != nil {
		return nil, err
	}
	r.report.Warnings = append(r.report.Warnings, warnings...)
	f := probe()
	p, err := newPlan(r.o, f)
	if err != nil {
		return nil, err
	}
	mechanism := r.o.Mechanism
	if mechanism == "" {
		mechanism = spec.MechanismAuto
	}
	try, considered, err := choose(p.wanted(mechanism), f)
	r.report.Candidates = considered
	if err != nil {
		return nil, err
	}
	if r.report.Mechanism, r.group, err = open(ctx, p, try, considered); err != nil {
		return nil, err
	}
	r.report.Cgroup, r.report.Unit, r.report.AbruptCleanup = r.group.cgroup, r.group.unit, r.group.abrupt

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	proc, err := r.group.Start(ctx, cmd)
	if err != nil {
		return nil, err
	}
	now, pid := time.Now(), proc.Pid()
	r.report.StartedAt, r.report.Pid = &now, &pid
	return proc, nil
}

// startFailed closes what was opened and finds the error to report.
func (r *run) startFailed(setup context.Context, err error) error {
	if cause := context.Cause(setup); cause != nil {
		var canceled *CanceledError
		if errors.As(cause, &canceled) {
			r.report.Exit.Reason = spec.ReasonCanceled
		}
		err = cause
	}
	if r.group != nil {
		r.sweep()
		r.close()
	}
	return err
}

// attend waits for the first process, and ends the tree when the deadline
// passes or somebody asks.
func (r *run) attend(ctx context.Context, proc spawn.Process) (*pidfd.Exit, error) {
	type result struct {
		exit *pidfd.Exit
		err  error
	}
	ended := make(chan result, 1)
	go func() {
		exit, err := proc.Wait(context.Background())
		ended <- result{exit, err}
	}()
	r.relay.started(proc)
	var deadline <-chan time.Time
	if r.o.Timeout > 0 {
		deadline = time.After(r.o.Timeout)
	}
	done, stop := ctx.Done(), r.relay.stop
	for {
		select {
		case res := <-ended:
			now := time.Now()
			r.report.ExitedAt = &now
			r.drain(deadline)
			return res.exit, res.err
		case <-deadline:
			if r.cause != "" {
				r.kill()
				deadline = nil
				continue
			}
			deadline = r.end(spec.ReasonTimeout)
		case <-stop:
			stop = nil
			if r.cause == "" {
				deadline = r.end(spec.ReasonCanceled)
			}
		case <-done:
			done = nil
			if r.cause == "" {
				deadline = r.end(spec.ReasonCanceled)
			}
		}
	}
}

// end asks every member to end and returns when its grace is over.
func (r *run) end(cause spec.Reason) (graceOver <-chan time.Time) {
	r.cause = cause
	if err := r.group.Signal(syscall.SIGTERM); err != nil {
		r.warn("ask the tree to end: %v", err)
	}
	return time.After(r.o.Grace)
}

// drain gives a tree that was asked to end the rest of its grace, also when its
// first process has ended already.
func (r *run) drain(graceOver <-chan time.Time) {
	if r.cause == "" || r.killed {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-graceOver:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := r.group.Wait(ctx); err != nil && ctx.Err() == nil {
		r.warn("wait for the tree to end: %v", err)
	}
}

// kill counts and kills all members.
func (r *run) kill() {
	if r.killed {
		return
	}
	r.killed = true
	pids, err := r.group.Pids()
	if err != nil {
		r.warn("list what is left: %v", err)
	} else {
		r.leftovers(pids)
	}
	if len(pids) == 0 && err == nil {
		return
	}
	if err := r.group.Kill(); err != nil {
		r.cleanupError(fmt.Errorf("kill what is left: %w", err))
	}
}

// leftovers notes the members other than the first process.
func (r *run) leftovers(pids []int) {
	n := 0
	for _, pid := range pids {
		if r.report.Pid != nil && pid == *r.report.Pid {
			continue
		}
		if n++; n <= namedLeftovers {
			r.report.Leftovers.Processes = append(r.report.Leftovers.Processes, spec.Member{Pid: pid, Name: processName(pid)})
		}
	}
	r.report.Leftovers.Killed = &n
}

// sweep kills what is left and waits until the kernel says that nothing is.
func (r *run) sweep() {
	r.kill()
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	if err := r.group.Wait(ctx); err != nil {
		pids, _ := r.group.Pids()
		r.cleanupError(fmt.Errorf("processes %d survive SIGKILL, in uninterruptible sleep or not ours to signal: %w", pids, err))
		return
	}
	r.report.Cleanup.Empty = true
}

func (r *run) close() {
	if !r.report.Cleanup.Empty {
		return // the guard stays: it outlives pkshim and tries once more
	}
	if err := r.group.Close(context.Background()); err != nil {
		r.cleanupError(fmt.Errorf("remove the group: %w", err))
		return
	}
	r.report.Cleanup.Removed = true
}

func (r *run) warn(format string, args ...any) {
	r.report.Warnings = append(r.report.Warnings, fmt.Sprintf(format, args...))
}

func (r *run) cleanupError(err error) {
	if r.report.Cleanup.Error != "" {
		err = fmt.Errorf("%s; %w", r.report.Cleanup.Error, err)
	}
	r.report.Cleanup.Error = err.Error()
}
