package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"github.com/pkshim/pkshim/spec"
)

// specFlags change a spec.
func specFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "memory", Usage: "memory limit of the whole tree, `SIZE` such as 256M"},
		&cli.StringFlag{Name: "cpus", Usage: "processor time limit, `N` processors such as 1.5"},
		&cli.Int64Flag{Name: "pids", Usage: "most tasks at a time, `N`", DefaultText: "no limit"},
		&cli.StringSliceFlag{Name: "env", Usage: "set `K=V` in the environment; may be repeated"},
		&cli.StringFlag{Name: "inherit-env", Usage: "take over variables of pkshim's environment: `LIST` of names, or all"},
		&cli.StringFlag{Name: "workdir", Usage: "working directory, `DIR`"},
		&cli.StringFlag{Name: "user", Usage: "run as `USER[:GROUP]`, by name or number"},
	}
}

// commandSpec is the spec of a command line and the flags. The PATH that it has
// by default gives way to an inherited one.
func commandSpec(c *cli.Context, command []string) (*spec.Spec, error) {
	s := spec.New(command)
	env := s.Process.Env
	s.Process.Env = nil
	return s, applyFlags(c, s, env)
}

// applyFlags writes the flags into the spec. The variables of weak are those
// that anything else of the same name replaces.
func applyFlags(c *cli.Context, s *spec.Spec, weak []string) error {
	if s.Process == nil {
		s.Process = &specs.Process{}
		s.InheritUser = true
	}
	if err := applyLimits(c, s); err != nil {
		return err
	}
	if err := applyEnv(c, s, weak); err != nil {
		return err
	}
	if err := applyWorkdir(c, s); err != nil {
		return err
	}
	return applyUser(c, s)
}

// applyEnv: inherited variables are weaker than the spec's, and these than
// --env's.
func applyEnv(c *cli.Context, s *spec.Spec, weak []string) error {
	if !c.IsSet("env") && !c.IsSet("inherit-env") {
		s.Process.Env = append(weak, s.Process.Env...)
		return nil
	}
	inherited, err := inheritedEnv(c)
	if err != nil {
		return err
	}
	for _, kv := range c.StringSlice("env") {
		if name, _, ok := strings.Cut(kv, "="); !ok || name == "" {
			return fmt.Errorf("--env %s: want NAME=VALUE", name)
		}
	}
	s.Process.Env = lastWins(slices.Concat(weak, inherited, s.Process.Env, c.StringSlice("env")))
	return nil
}

// inheritedEnv are the variables that --inherit-env names. One that is not
// there is not made up.
func inheritedEnv(c *cli.Context) ([]string, error) {
	list := c.String("inherit-env")
	switch {
	case !c.IsSet("inherit-env"):
		return nil, nil
	case list == "all":
		return os.Environ(), nil
	}
	var env []string
	for name := range strings.SplitSeq(list, ",") {
		if name == "" || strings.Contains(name, "=") {
			return nil, fmt.Errorf("--inherit-env %s: want names with commas between them, or all", list)
		}
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env, nil
}

// lastWins keeps the last variable of each name, where it is.
func lastWins(env []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, kv := range slices.Backward(env) {
		name, _, _ := strings.Cut(kv, "=")
		if !seen[name] {
			seen[name] = true
			out = append(out, kv)
		}
	}
	slices.Reverse(out)
	return out
}

func applyWorkdir(c *cli.Context, s *spec.Spec) error {
	if !c.IsSet("workdir") {
		return nil
	}
	if c.String("workdir") == "" {
		return errors.New("--workdir: empty: without the flag it is the current directory")
	}
	dir, err := filepath.Abs(c.String("workdir"))
	if err != nil {
		return fmt.Errorf("--workdir %s: %w", c.String("workdir"), err)
	}
	s.Process.Cwd = dir
	return nil
}

func applyUser(c *cli.Context, s *spec.Spec) error {
	if !c.IsSet("user") {
		return nil
	}
	u, err := lookupUser(c.String("user"))
	if err != nil {
		return fmt.Errorf("--user %q: %w", c.String("user"), err)
	}
	u.Umask = s.Process.User.Umask
	s.Process.User = *u
	s.InheritUser = false
	return nil
}
