package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
		&cli.Int64Flag{Name: "pids", Usage: "most tasks at a time, `N`"},
		&cli.StringSliceFlag{Name: "env", Usage: "set `K=V` in the environment; may be repeated"},
		&cli.StringFlag{Name: "inherit-env", Usage: "take over variables of pkshim's environment: `LIST` of names, or all"},
		&cli.StringFlag{Name: "workdir", Usage: "working directory, `DIR`"},
		&cli.StringFlag{Name: "user", Usage: "run as `USER[:GROUP]`, by name or number"},
	}
}

// applyFlags writes the flags into the spec.
func applyFlags(c *cli.Context, s *spec.Spec) error {
	if s.Process == nil {
		s.Process = &specs.Process{}
		s.InheritUser = true
	}
	for _, apply := range []func(*cli.Context, *spec.Spec) error{applyLimits, applyEnv, applyWorkdir, applyUser} {
		if err := apply(c, s); err != nil {
			return err
		}
	}
	return nil
}

func applyLimits(c *cli.Context, s *spec.Spec) error {
	if !c.IsSet("memory") && !c.IsSet("cpus") && !c.IsSet("pids") {
		return nil
	}
	if s.Linux == nil {
		s.Linux = &specs.Linux{}
	}
	if s.Linux.Resources == nil {
		s.Linux.Resources = &specs.LinuxResources{}
	}
	r := s.Linux.Resources
	if c.IsSet("memory") {
		limit, err := parseSize(c.String("memory"))
		if err != nil {
			return fmt.Errorf("--memory %s: %w", c.String("memory"), err)
		}
		if r.Memory == nil {
			r.Memory = &specs.LinuxMemory{}
		}
		r.Memory.Limit = &limit
	}
	if c.IsSet("cpus") {
		quota, period, err := parseCPUs(c.String("cpus"))
		if err != nil {
			return fmt.Errorf("--cpus %s: %w", c.String("cpus"), err)
		}
		if r.CPU == nil {
			r.CPU = &specs.LinuxCPU{}
		}
		r.CPU.Quota, r.CPU.Period = &quota, &period
	}
	if c.IsSet("pids") {
		limit := c.Int64("pids")
		if limit < 0 {
			return fmt.Errorf("--pids %d: less than 0; without the flag there is no limit", limit)
		}
		if r.Pids == nil {
			r.Pids = &specs.LinuxPids{}
		}
		r.Pids.Limit = &limit
	}
	return nil
}

// parseSize reads a number of bytes with a binary suffix: k, M, G, T.
func parseSize(text string) (int64, error) {
	number := strings.TrimRight(text, "kKmMgGtTiB")
	shift := map[string]uint{"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}
	unit := strings.ToLower(strings.TrimPrefix(text, number))
	if len(unit) > 1 {
		unit = strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i")
	}
	bits, known := shift[unit]
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case !known || err != nil && number == "":
		return 0, fmt.Errorf("not a size: want a whole number of bytes, or with k, M, G or T, such as 256M")
	case err != nil:
		return 0, fmt.Errorf("not a size: %w", err)
	case n <= 0:
		return 0, fmt.Errorf("not more than 0; without the flag there is no limit")
	case n > math.MaxInt64>>bits:
		return 0, fmt.Errorf("more than %d bytes", int64(math.MaxInt64))
	}
	return n << bits, nil
}

// parseCPUs turns processors into a quota per period of 100 ms.
func parseCPUs(text string) (quota int64, period uint64, err error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("not a number of processors such as 1.5")
	}
	const most = 1 << 20
	if !(n >= 0.01 && n <= most) { // NaN is refused too
		return 0, 0, fmt.Errorf("want 0.01 to %d processors", most)
	}
	period = 100_000
	return int64(math.Round(n * float64(period))), period, nil
}

// applyEnv: inherited variables first, then the spec's, then --env, a later one
// replacing an earlier one of the same name.
func applyEnv(c *cli.Context, s *spec.Spec) error {
	if !c.IsSet("env") && !c.IsSet("inherit-env") {
		return nil
	}
	var env []string
	if list := c.String("inherit-env"); list == "all" {
		env = os.Environ()
	} else if c.IsSet("inherit-env") {
		for name := range strings.SplitSeq(list, ",") {
			if name == "" || strings.Contains(name, "=") {
				return fmt.Errorf("--inherit-env %s: want names with commas between them, or all", list)
			}
			if v, ok := os.LookupEnv(name); ok { // one that is not there is not made up
				env = append(env, name+"="+v)
			}
		}
	}
	for _, kv := range c.StringSlice("env") {
		if name, _, ok := strings.Cut(kv, "="); !ok || name == "" {
			return fmt.Errorf("--env %s: want NAME=VALUE", name)
		}
	}
	env = append(append(env, s.Process.Env...), c.StringSlice("env")...)
	s.Process.Env = lastWins(env)
	return nil
}

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
		return fmt.Errorf("--workdir: empty: without the flag it is the current directory")
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
		return fmt.Errorf("--user %s: %w", c.String("user"), err)
	}
	u.Umask = s.Process.User.Umask
	s.Process.User = *u
	s.InheritUser = false
	return nil
}
