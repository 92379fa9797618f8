package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// reorder moves a command's flags before its other arguments, where the flag
// package looks for them. What follows "--" is the workload's and stays.
func reorder(args []string, commands []*cli.Command) []string {
	if len(args) < 3 {
		return args
	}
	var command *cli.Command
	for _, c := range commands {
		if c.HasName(args[1]) {
			command = c
		}
	}
	if command == nil {
		return args
	}
	var flags, others []string
	rest := args[2:]
	for len(rest) > 0 && rest[0] != "--" {
		a := rest[0]
		rest = rest[1:]
		if len(a) < 2 || a[0] != '-' {
			others = append(others, a)
			continue
		}
		flags = append(flags, a)
		if takesValue(command, a) && len(rest) > 0 {
			flags, rest = append(flags, rest[0]), rest[1:]
		}
	}
	out := append(append([]string{}, args[:2]...), flags...)
	if len(rest) > 0 {
		// The mark itself is kept out of the flag package's hands: it would drop
		// it, and with it the difference between a SPEC and a command.
		out = append(append(out, "--"), others...)
		return append(out, rest...)
	}
	return append(out, others...)
}

// takesValue says that flag a of the command is followed by its value.
func takesValue(command *cli.Command, a string) bool {
	name := strings.TrimLeft(a, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range command.Flags {
		for _, n := range f.Names() {
			if n == name {
				_, isBool := f.(*cli.BoolFlag)
				return !isBool
			}
		}
	}
	return false
}

// commandLine splits a command's arguments at "--": what is before it, what is
// after it, and whether it is there.
func commandLine(c *cli.Context) (before, after []string, found bool) {
	args := c.Args().Slice()
	for i, a := range args {
		if a == "--" {
			return args[:i], args[i+1:], true
		}
	}
	return args, nil, false
}
