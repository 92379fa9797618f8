package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/pkshim/pkshim/runtime"
	"github.com/pkshim/pkshim/spec"
)

// codeInvalid is the exit code of `pkshim validate` for a spec with problems.
const codeInvalid = 1

// A problemList is the document of validate --json.
type problemList struct {
	Version  int           `json:"version"`
	Problems spec.Problems `json:"problems"`
}

func validateCommand() *cli.Command {
	return &cli.Command{
		Name:      "validate",
		Usage:     "list all that is wrong with a spec",
		ArgsUsage: "SPEC",
		Description: "Prints a line for each problem: where it is, what it is, what was probably meant,\n" +
			"and which properties are refused and why. The exit code is 0 for a spec that\n" +
			"pkshim run takes, 1 for one with problems, 125 if it cannot be read.",
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print the problems as JSON"}},
		Action: validateAction,
	}
}

func validateAction(c *cli.Context) error {
	if c.NArg() != 1 {
		return errors.New("want one SPEC")
	}
	s, err := loadSpec(c.Args().First())
	if err == nil {
		err = s.Validate()
	}
	var problems spec.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	if err == nil {
		problems = runtime.Check(s)
	}
	if c.Bool("json") {
		if problems == nil {
			problems = spec.Problems{}
		}
		if err := printJSON(problemList{1, problems}); err != nil {
			return err
		}
	} else {
		for _, p := range problems {
			fmt.Println(printable(p.Error()))
		}
	}
	if len(problems) > 0 {
		return &exitError{codeInvalid}
	}
	return nil
}
