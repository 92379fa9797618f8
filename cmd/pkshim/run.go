package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pkshim/pkshim/runtime"
	"github.com/pkshim/pkshim/spec"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "run a workload to its end",
		ArgsUsage: "SPEC | -- COMMAND [ARG...]",
		Description: "SPEC is an OCI config.json or any part of one, a file or - for standard input.\n" +
			"Flags override its values. The exit code is the workload's own, 128+n if signal n\n" +
			"killed it, 124 after --timeout, 125 if pkshim could not do what was asked, 126 if\n" +
			"the program cannot be executed and 127 if it was not found.",
		Flags: append(specFlags(),
			&cli.DurationFlag{Name: "timeout", Usage: "end the whole tree after `TIME`, such as 30s", DefaultText: "never"},
			&cli.DurationFlag{Name: "grace", Value: 5 * time.Second, Usage: "`TIME` between SIGTERM and SIGKILL"},
			&cli.StringFlag{Name: "id", Usage: "`NAME` of the run", DefaultText: "random"},
			&cli.StringFlag{Name: "slice", Usage: "systemd `SLICE` of the unit", DefaultText: "the manager's"},
			&cli.StringFlag{Name: "mechanism", Value: "auto", Usage: "`HOW` to hold the tree: auto, systemd, cgroupfs or pgroup"},
			&cli.StringFlag{Name: "report", Usage: "write the report as JSON to `FILE`, - for standard output"},
			&cli.BoolFlag{Name: "stats", Usage: "print a summary to standard error", DisableDefaultText: true},
		),
		Action: runAction,
	}
}

func runAction(c *cli.Context) error {
	s, err := specOf(c)
	if err != nil {
		return err
	}
	o, err := runOptions(c, s)
	if err != nil {
		return err
	}
	// Before anything starts, so that nothing has run when it cannot be written.
	out, err := openReport(c.String("report"))
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 16)
	listen(signals)
	o.Signals = signals
	report, runErr := runtime.Run(context.Background(), *o)
	if runErr != nil {
		errorf("%v", runErr)
	}
	for _, w := range report.Warnings {
		warnf("%s", w)
	}
	if report.Cleanup.Error != "" {
		errorf("clean up: %s", report.Cleanup.Error)
	}
	if c.Bool("stats") {
		note(summary(report))
	}
	code := runtime.ExitCode(report, runErr)
	if err := out.write(report); err != nil {
		errorf("%v", err)
		code = spec.CodeCannot
	}
	if code == 0 {
		return nil
	}
	return &exitError{code}
}

// specOf makes the spec from the arguments, and checks it.
func specOf(c *cli.Context) (*spec.Spec, error) {
	before, command, hasCommand := commandLine(c)
	var s *spec.Spec
	var err error
	switch {
	case hasCommand && len(before) > 0:
		return nil, fmt.Errorf("both a SPEC (%s) and a command: give one of them", before[0])
	case hasCommand && len(command) == 0:
		return nil, errors.New("no command after --")
	case hasCommand:
		s, err = commandSpec(c, command)
	case len(before) != 1:
		return nil, errors.New("want one SPEC, or a command after --: see pkshim run --help")
	default:
		if s, err = loadSpec(before[0]); err == nil {
			err = applyFlags(c, s, nil)
		}
	}
	if err != nil {
		return nil, err
	}
	return s, s.Validate()
}

// loadSpec reads a spec strictly from a file or standard input. What is wrong
// with one that could be decoded, its Validate tells, with all else that is.
func loadSpec(name string) (s *spec.Spec, err error) {
	if name == "-" {
		s, err = spec.Read(os.Stdin, true)
	} else {
		s, err = spec.Load(name, true)
	}
	var problems spec.Problems
	switch isProblems := errors.As(err, &problems); {
	case isProblems && s != nil:
		return s, nil
	case err != nil && !isProblems && name == "-":
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return s, err
}

func runOptions(c *cli.Context, s *spec.Spec) (*runtime.Options, error) {
	o := &runtime.Options{
		ID: c.String("id"), Spec: s, Mechanism: spec.Mechanism(c.String("mechanism")), Slice: c.String("slice"),
		Timeout: c.Duration("timeout"), Grace: c.Duration("grace"), Stdio: [3]int{0, 1, 2},
	}
	if !c.IsSet("id") {
		o.ID = strconv.FormatUint(rand.Uint64(), 36)
	} else if err := spec.ValidateID(o.ID); err != nil {
		return nil, fmt.Errorf("--id: %w", err)
	}
	mechanisms := []spec.Mechanism{spec.MechanismAuto, spec.MechanismSystemd, spec.MechanismCgroupfs, spec.MechanismPgroup}
	if !slices.Contains(mechanisms, o.Mechanism) {
		return nil, fmt.Errorf("--mechanism %s: want one of %v", o.Mechanism, mechanisms)
	}
	if c.IsSet("timeout") && o.Timeout <= 0 {
		return nil, fmt.Errorf("--timeout %s: not more than 0; without the flag there is none", o.Timeout)
	}
	if o.Grace < 0 {
		return nil, fmt.Errorf("--grace %s: less than 0", o.Grace)
	}
	o.Terminal = slices.ContainsFunc(o.Stdio[:], runtime.ControlsTerminal)
	return o, nil
}

// listen takes the signals that are for the workload. One that pkshim was
// started to ignore (nohup) stays ignored, here and in the workload. Go keeps
// that for SIGHUP and SIGINT alone: its runtime takes over the others before
// any code of ours runs.
func listen(signals chan<- os.Signal) {
	notify(signals, toEnd)
	// 60 µs each, which the run need not wait for: until then they do to pkshim
	// what they would do to any program that has just been executed.
	go notify(signals, toTell)
}

func notify(signals chan<- os.Signal, list []os.Signal) {
	for _, sig := range list {
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
}
