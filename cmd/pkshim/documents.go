package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/pkshim/pkshim/spec"
)

func specCommand() *cli.Command {
	return &cli.Command{
		Name:        "spec",
		Usage:       "print a spec to start from",
		ArgsUsage:   "[-- COMMAND [ARG...]]",
		Description: "Prints the spec that pkshim run would make of the same flags and command.",
		Flags:       specFlags(),
		Action:      specAction,
	}
}

func specAction(c *cli.Context) error {
	before, command, _ := commandLine(c)
	if len(before) > 0 {
		return fmt.Errorf("unexpected argument %q: a command goes after --", before[0])
	}
	if len(command) == 0 {
		command = []string{"sh", "-c", "echo hello from $$"}
	}
	s, err := commandSpec(c, command)
	if err != nil {
		return err
	}
	if err := s.Validate(); err != nil {
		return err
	}
	return s.Encode(os.Stdout)
}

func schemaCommand() *cli.Command {
	return &cli.Command{
		Name:      "schema",
		Usage:     "print the JSON schema of a document",
		ArgsUsage: "report",
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 || c.Args().First() != "report" {
				return errors.New("want the name of a document: report")
			}
			_, err := os.Stdout.Write(spec.ReportSchema())
			return err
		},
	}
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Action: func(c *cli.Context) error {
			cli.ShowVersion(c)
			return nil
		},
	}
}
