package cgroups

import (
	"fmt"
	"strconv"
	"strings"
)

// The most that Linux can be built for: CONFIG_NR_CPUS with MAXSMP, and
// 1 << CONFIG_NODES_SHIFT.
const (
	maxCPUs  = 8192
	maxNodes = 1024
)

// cpuset adds cpuset.cpus or cpuset.mems. systemd takes the set as a bit mask,
// AllowedCPUs and AllowedMemoryNodes (≥ 244).
func (c *converter) cpuset(field, file, text string) {
	property, most := "AllowedCPUs", maxCPUs
	if file == "cpuset.mems" {
		property, most = "AllowedMemoryNodes", maxNodes
	}
	mask, err := parseList(text, most)
	if err != nil {
		c.refuse(field, "%w", err)
		return
	}
	c.set(Setting{Field: field, File: file, Value: formatList(mask), Property: property, Variant: mask})
}

// parseList reads a list such as "0-3,7" to a little-endian bit mask: number n
// is bit n%8 of byte n/8, as systemd's cpu_set_from_dbus takes it. There is no
// zero byte at its end.
func parseList(text string, most int) ([]byte, error) {
	var mask []byte
	for item := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		first, last, isRange := strings.Cut(item, "-")
		low, err := parseMember(first, most)
		if err != nil {
			return nil, fmt.Errorf("list %q: %w", text, err)
		}
		high := low
		if isRange {
			if high, err = parseMember(last, most); err != nil {
				return nil, fmt.Errorf("list %q: %w", text, err)
			}
		}
		if high < low {
			return nil, fmt.Errorf("list %q: range %s ends before it begins", text, item)
		}
		if need := high/8 + 1; need > len(mask) {
			mask = append(mask, make([]byte, need-len(mask))...)
		}
		for n := low; n <= high; n++ {
			mask[n/8] |= 1 << (n % 8)
		}
	}
	return mask, nil
}

func parseMember(text string, most int) (int, error) {
	for _, b := range []byte(text) {
		if b < '0' || b > '9' {
			return 0, fmt.Errorf("%q is not a number", text)
		}
	}
	n, err := strconv.Atoi(text)
	switch {
	case text == "":
		return 0, fmt.Errorf("a number is missing")
	case err != nil || n >= most:
		return 0, fmt.Errorf("%s is not below %d", text, most)
	}
	return n, nil
}

// formatList spells a mask as the kernel does (%*pbl): sorted, with each run
// of neighbours as a range.
func formatList(mask []byte) string {
	var runs []string
	has := func(n int) bool { return n < 8*len(mask) && mask[n/8]>>(n%8)&1 == 1 }
	for n := 0; n < 8*len(mask); n++ {
		first := n
		if !has(first) {
			continue
		}
		for has(n + 1) {
			n++
		}
		if n == first {
			runs = append(runs, strconv.Itoa(first))
		} else {
			runs = append(runs, fmt.Sprintf("%d-%d", first, n))
		}
	}
	return strings.Join(runs, ",")
}
