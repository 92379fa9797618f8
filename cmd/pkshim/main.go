// Command pkshim runs a program under an OCI process spec, contains its whole
// process tree and reports truthfully how it ended.
package main

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"

	"github.com/urfave/cli/v2"

	"github.com/pkshim/pkshim/runtime"
	"github.com/pkshim/pkshim/spec"
)

// version is set by the linker: -X main.version=….
var version = "0.1.0-dev"

func main() {
	runtime.Init()
	// pkshim is a chain of system calls with nothing to do in parallel. With one
	// processor the scheduler starts no threads to look for work, which are a
	// quarter of the time of a short run.
	goruntime.GOMAXPROCS(1)
	os.Exit(run(os.Args))
}

// exitError ends pkshim with a code; what there was to say has been said.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func run(args []string) int {
	app := &cli.App{
		Name:                      "pkshim",
		Usage:                     "run a program under an OCI process spec, contain all of it, report how it ended",
		Version:                   version,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true, // a comma is part of a value: --env A=1,2
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              usageError,
		Action:                    unknownCommand,
		Commands: []*cli.Command{
			runCommand(), specCommand(), validateCommand(), doctorCommand(), schemaCommand(), versionCommand(),
		},
	}
	for _, c := range app.Commands {
		c.OnUsageError = app.OnUsageError
		c.HideHelpCommand = true
	}
	err := app.Run(reorder(args, app.Commands))
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	}
	errorf("%v", err)
	return spec.CodeCannot
}

func usageError(c *cli.Context, err error, _ bool) error {
	return fmt.Errorf("%w: see %s --help", err, c.Command.HelpName)
}

func unknownCommand(c *cli.Context) error {
	if c.NArg() == 0 {
		return cli.ShowAppHelp(c)
	}
	return fmt.Errorf("unknown command %q: see pkshim --help", c.Args().First())
}
