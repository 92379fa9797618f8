package pgroup

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/pkshim/pkshim/pgroup/pidfd"
	"github.com/pkshim/pkshim/pgroup/spawn"
)

// The protocol. The owner sends requests, each with a number of its own; the
// keeper answers each once, with that number, not necessarily in order:
//
//	start   Start, and descriptors 0, 1, 2  → Pid, with its pidfd
//	discard Target: a process of a start    → (nothing; it is killed)
//	cancel  Target: the number of a start   → (no answer of its own; the start fails)
//	signal  Signal                          → (nothing)
//	kill                                    → (nothing)
//	pids                                    → Pids
//	stats                                   → Usage
//	close                                   → (nothing; the keeper ends)
//
// Failures in an answer say that it did not work. Unasked, with number 0, the
// keeper sends Hello when it is ready (or why it cannot be), Exit when a
// started process has ended, and Empty when it has no child left. Exit comes
// after the answer to its start, and Empty after all Exits.
type request struct {
	ID     uint64
	Do     verb
	Start  *startCommand  `json:",omitempty"`
	Target uint64         `json:",omitempty"`
	Signal syscall.Signal `json:",omitempty"`
}

type verb string

const (
	doStart  verb = "start"
	doCancel verb = "cancel"
	// doDiscard is for a start whose pidfd did not arrive.
	doDiscard verb = "discard"
	doSignal  verb = "signal"
	doKill    verb = "kill"
	doPids    verb = "pids"
	doStats   verb = "stats"
	doClose   verb = "close"
)

type answer struct {
	ID       uint64
	Failures []failure `json:",omitempty"`
	Pid      int       `json:",omitempty"`
	Pids     []int     `json:",omitempty"`
	Usage    *usage    `json:",omitempty"`

	Hello bool        `json:",omitempty"`
	Exit  *pidfd.Exit `json:",omitempty"` // of Pid
	Empty bool        `json:",omitempty"`
}

// startCommand is a Command on its way. The strings of a process are bytes and
// need not be UTF-8, which JSON strings are: those here go as base64 in place
// of the ones with the same name in Command.
type startCommand struct {
	spawn.Command
	Args, Env [][]byte
	Path, Dir []byte
}

func newStartCommand(c *spawn.Command) *startCommand {
	return &startCommand{Command: *c, Args: toBytes(c.Args), Env: toBytes(c.Env), Path: []byte(c.Path), Dir: []byte(c.Dir)}
}

func (s *startCommand) command(stdio [3]int) *spawn.Command {
	c := s.Command
	c.Args, c.Env, c.Path, c.Dir = toStrings(s.Args), toStrings(s.Env), string(s.Path), string(s.Dir)
	c.Stdio = stdio
	return &c
}

func toBytes(ss []string) [][]byte {
	bs := make([][]byte, len(ss))
	for i, s := range ss {
		bs[i] = []byte(s)
	}
	return bs
}

func toStrings(bs [][]byte) []string {
	ss := make([]string, len(bs))
	for i, b := range bs {
		ss[i] = string(b)
	}
	return ss
}

// A failure is an error on its way to the owner.
type failure struct {
	Text  string
	Errno syscall.Errno `json:",omitempty"`
	// Step and Exec are those of a StartError.
	Step string `json:",omitempty"`
	Exec bool   `json:",omitempty"`
}

// failures takes err apart if it joins several.
func failures(err error) []failure {
	if err == nil {
		return nil
	}
	var start *spawn.StartError
	if errors.As(err, &start) {
		f := newFailure(start.Err)
		f.Step, f.Exec = start.Step, start.Exec
		return []failure{f}
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []failure{newFailure(err)}
	}
	var fs []failure
	for _, e := range joined.Unwrap() {
		fs = append(fs, failures(e)...)
	}
	return fs
}

func newFailure(err error) failure {
	f := failure{Text: err.Error()}
	errors.As(err, &f.Errno)
	return f
}

// joinFailures is the reverse of failures.
func joinFailures(fs []failure) error {
	var errs []error
	for _, f := range fs {
		errs = append(errs, f.err())
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

func (f failure) err() error {
	var err error = f.Errno
	if f.Errno == 0 || f.Text != f.Errno.Error() {
		err = &keeperError{f}
	}
	if f.Step != "" {
		return &spawn.StartError{Step: f.Step, Exec: f.Exec, Err: err}
	}
	return err
}

// A keeperError is an error of the keeper as the owner has it: the same text
// around the same errno.
type keeperError struct{ f failure }

func (e *keeperError) Error() string { return e.f.Text }

func (e *keeperError) Unwrap() error {
	if e.f.Errno == 0 {
		return nil
	}
	return e.f.Errno
}

// checkCommand refuses what could not reach the keeper as it is meant.
func checkCommand(c *spawn.Command) error {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return fmt.Errorf("no program to execute: %w", os.ErrInvalid)
	}
	if c.Group > 0 {
		return fmt.Errorf("start %s in a cgroup: the keeper is in none: %w", strings.ToValidUTF8(c.Args[0], "?"), errors.ErrUnsupported)
	}
	return nil
}
