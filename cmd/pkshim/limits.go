package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"github.com/pkshim/pkshim/spec"
)

// applyLimits writes --memory, --cpus and --pids into the spec.
func applyLimits(c *cli.Context, s *spec.Spec) error {
	if c.IsSet("memory") {
		limit, err := parseSize(c.String("memory"))
		if err != nil {
			return fmt.Errorf("--memory %s: %w", c.String("memory"), err)
		}
		made(&resources(s).Memory).Limit = &limit
	}
	if c.IsSet("cpus") {
		quota, period, err := parseCPUs(c.String("cpus"))
		if err != nil {
			return fmt.Errorf("--cpus %s: %w", c.String("cpus"), err)
		}
		cpu := made(&resources(s).CPU)
		cpu.Quota, cpu.Period = &quota, &period
	}
	if c.IsSet("pids") {
		limit := c.Int64("pids")
		if limit < 0 {
			return fmt.Errorf("--pids %d: less than 0; without the flag there is no limit", limit)
		}
		made(&resources(s).Pids).Limit = &limit
	}
	return nil
}

func resources(s *spec.Spec) *specs.LinuxResources {
	return made(&made(&s.Linux).Resources)
}

// made is what p points to, a zero value if there was nothing.
func made[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}

// units are the exponents of what may follow a size: k, K, ki, KiB and KB are
// all 2¹⁰.
var units = map[string]uint{
	"": 0, "b": 0,
	"k": 10, "ki": 10, "kb": 10, "kib": 10,
	"m": 20, "mi": 20, "mb": 20, "mib": 20,
	"g": 30, "gi": 30, "gb": 30, "gib": 30,
	"t": 40, "ti": 40, "tb": 40, "tib": 40,
}

// parseSize reads a number of bytes with a binary unit.
func parseSize(text string) (int64, error) {
	end := strings.LastIndexAny(text, "0123456789") + 1
	bits, known := units[strings.ToLower(text[end:])]
	n, err := strconv.ParseInt(text[:end], 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && n > 0, known && err == nil && n > math.MaxInt64>>bits:
		return 0, fmt.Errorf("more than %d bytes", int64(math.MaxInt64))
	case !known || err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, errors.New("want a whole number of bytes, or with k, M, G or T, such as 256M")
	case n <= 0:
		return 0, errors.New("not more than 0; without the flag there is no limit")
	}
	return n << bits, nil
}

// parseCPUs turns processors into a quota per period of 100 ms. The kernel's
// least quota is 1 ms.
func parseCPUs(text string) (quota int64, period uint64, err error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, 0, errors.New("not a number of processors such as 1.5")
	}
	const most = 1 << 20
	if !(n >= 0.01 && n <= most) { // NaN is refused too
		return 0, 0, fmt.Errorf("want 0.01 to %d processors", most)
	}
	period = 100_000
	return int64(math.Round(n * float64(period))), period, nil
}
