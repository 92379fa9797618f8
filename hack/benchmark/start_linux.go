package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// start shows what it costs to get to main and out again.
func start(b *bench) error {
	fmt.Println("start: pkshim --version")
	version := peer{name: "pkshim --version", unchecked: true, command: func(*bench, string, workload) ([]string, error) {
		return []string{"./pkshim", "--version"}, nil
	}}
	if err := b.compare("start", quiet, version, bare); err != nil {
		return err
	}
	return inits(b)
}

// inits prints what the packages' initialization takes, as the Go runtime
// measures it.
func inits(b *bench) error {
	const largest = 5
	clocks := map[string][]time.Duration{}
	var sums []time.Duration
	for range b.rounds {
		var trace bytes.Buffer
		c := exec.Command("./pkshim", "--version")
		c.Env = append(os.Environ(), "GODEBUG=inittrace=1")
		c.Stderr = &trace
		if err := c.Run(); err != nil {
			return fmt.Errorf("pkshim --version: %w", err)
		}
		var sum time.Duration
		for line := range strings.Lines(trace.String()) {
			// init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs
			f := strings.Fields(line)
			if len(f) < 6 || f[0] != "init" {
				continue
			}
			n, err := strconv.ParseFloat(f[4], 64)
			if err != nil {
				return fmt.Errorf("inittrace: %q: %w", line, err)
			}
			d := time.Duration(n * float64(time.Millisecond))
			clocks[f[1]] = append(clocks[f[1]], d)
			sum += d
		}
		sums = append(sums, sum)
	}
	if len(clocks) == 0 {
		return fmt.Errorf("inittrace: the Go runtime said nothing")
	}
	medians := map[string]time.Duration{}
	var names []string
	for name, values := range clocks {
		slices.Sort(values)
		medians[name] = values[len(values)/2]
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(medians[b] - medians[a]) })
	slices.Sort(sums)
	fmt.Printf("package inits, p50: %.3f ms in %d packages; the largest:", ms(sums[len(sums)/2]), len(names))
	for _, name := range names[:min(largest, len(names))] {
		fmt.Printf(" %s %.3f", name, ms(medians[name]))
	}
	fmt.Println()
	return nil
}
