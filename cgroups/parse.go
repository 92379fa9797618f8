package cgroups

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pkshim/pkshim/spec"
)

// A ParseError is a kernel file whose content is not what its format says.
type ParseError struct {
	File string // "memory.events"
	Line int    // from 1; 0 for the whole file
	Err  error
}

func (e *ParseError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("parse %s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("parse %s: line %d: %v", e.File, e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *ParseError) Unwrap() error { return e.Err }

// The formats are those of "Interface Files" in
// https://docs.kernel.org/admin-guide/cgroup-v2.html. A malformed number is an
// error, never 0, and a key that is absent is absent from the result. Keys and
// lines that are not known are kept or passed over: kernels add them.

// parseFlat reads a flat keyed file, "KEY VALUE" lines, such as memory.events.
func parseFlat(file string, data []byte) (map[string]uint64, error) {
	values := make(map[string]uint64)
	for n, line := range lines(data) {
		key, text, ok := strings.Cut(line, " ")
		if !ok || key == "" {
			return nil, &ParseError{file, n, fmt.Errorf("%q is not KEY VALUE", line)}
		}
		if _, twice := values[key]; twice {
			return nil, &ParseError{file, n, fmt.Errorf("second %s", key)}
		}
		value, err := parseKernelNumber(text)
		if err != nil {
			return nil, &ParseError{file, n, fmt.Errorf("%s: %w", key, err)}
		}
		values[key] = value
	}
	return values, nil
}

// A nestedLine is one line of a nested keyed file: "8:0 rbytes=1 wbytes=2".
type nestedLine struct {
	Key    string
	Values map[string]uint64 // "max" is noLimit
}

// parseNested reads a nested keyed file, such as io.stat and io.max.
//
// io.stat has two quirks: a device without counters stands alone on its line,
// and Linux 5.15 and 5.16 leave out the newline after it, so that the next
// device follows: "253:10 253:5 rbytes=0 …" (kernel commit 252c651a4c85, mended
// by "blk-cgroup: always terminate io.stat lines"). A key that recurs on one
// line is an error.
func parseNested(file string, data []byte) ([]nestedLine, error) {
	var all []nestedLine
	for n, line := range lines(data) {
		var current *nestedLine
		for i, word := range strings.Fields(line) {
			key, text, pair := strings.Cut(word, "=")
			switch {
			case !pair && (i == 0 || len(current.Values) == 0):
				all = append(all, nestedLine{Key: word, Values: make(map[string]uint64)})
				current = &all[len(all)-1]
				continue
			case !pair || i == 0 || key == "":
				return nil, &ParseError{file, n, fmt.Errorf("%q is not KEY=VALUE", word)}
			}
			if _, twice := current.Values[key]; twice {
				return nil, &ParseError{file, n, fmt.Errorf("second %s", key)}
			}
			value, err := parseKernelLimit(text)
			if err != nil {
				return nil, &ParseError{file, n, fmt.Errorf("%s: %w", key, err)}
			}
			current.Values[key] = value
		}
	}
	return all, nil
}

// parseSingle reads a file that holds one number or "max", which is noLimit.
func parseSingle(file string, data []byte) (uint64, error) {
	value, err := parseKernelLimit(strings.TrimSuffix(string(data), "\n"))
	if err != nil {
		return 0, &ParseError{file, 0, err}
	}
	return value, nil
}

// parsePressure reads cpu.pressure, memory.pressure or io.pressure. The full
// line is absent for the CPU before Linux 5.13.
// https://docs.kernel.org/accounting/psi.html
func parsePressure(file string, data []byte) (*spec.Pressure, error) {
	p := new(spec.Pressure)
	for n, line := range lines(data) {
		kind, rest, _ := strings.Cut(line, " ")
		to := &p.Some
		switch kind {
		case "some":
		case "full":
			to = &p.Full
		default:
			return nil, &ParseError{file, n, fmt.Errorf("%q is neither some nor full", kind)}
		}
		if *to != nil {
			return nil, &ParseError{file, n, fmt.Errorf("second %s", kind)}
		}
		measured, err := parsePressureLine(rest)
		if err != nil {
			return nil, &ParseError{file, n, err}
		}
		*to = measured
	}
	if p.Some == nil {
		return nil, &ParseError{file, 0, errors.New("no line some")}
	}
	return p, nil
}

func parsePressureLine(text string) (*spec.PressureLine, error) {
	var p spec.PressureLine
	averages := map[string]*float64{"avg10": &p.Avg10, "avg60": &p.Avg60, "avg300": &p.Avg300}
	total := false
	for _, word := range strings.Fields(text) {
		key, text, _ := strings.Cut(word, "=")
		var err error
		if to := averages[key]; to != nil {
			*to, err = parsePercent(text)
			delete(averages, key)
		} else if key == "total" && !total {
			p.TotalUsec, err = parseKernelNumber(text)
			total = true
		} else {
			err = fmt.Errorf("%q is not expected", word)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(averages) > 0 || !total {
		return nil, errors.New("a number is missing")
	}
	return &p, nil
}

// parsePercent reads a percentage with two decimals, as the kernel prints it
// (LOAD_INT and LOAD_FRAC): never an exponent, NaN or infinity.
func parsePercent(text string) (float64, error) {
	whole, fraction, ok := strings.Cut(text, ".")
	_, errWhole := parseKernelNumber(whole)
	_, errFraction := parseKernelNumber(fraction)
	value, err := strconv.ParseFloat(text, 64)
	if !ok || errWhole != nil || errFraction != nil || err != nil {
		return 0, fmt.Errorf("%q is not a percentage", text)
	}
	return value, nil
}

// parseKernelNumber reads an unsigned decimal number, digits only.
func parseKernelNumber(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of 64 bits", text)
	}
	return n, nil
}

// parseKernelLimit reads a number or "max".
func parseKernelLimit(text string) (uint64, error) {
	if text == "max" {
		return noLimit, nil
	}
	return parseKernelNumber(text)
}

// lines numbers the lines of a file from 1. A last line without newline counts.
func lines(data []byte) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range bytes.Lines(data) {
			n++
			if !yield(n, string(bytes.TrimSuffix(line, []byte("\n")))) {
				return
			}
		}
	}
}
