package main

import (
	"math"
	"testing"
)

func TestParseSize(t *testing.T) {
	good := map[string]int64{
		"1": 1, "4096": 4096, "1b": 1, "256M": 256 << 20, "256m": 256 << 20, "256Mi": 256 << 20, "256MiB": 256 << 20,
		"256mb": 256 << 20, "1k": 1024, "1K": 1024, "3G": 3 << 30, "2T": 2 << 40,
		"9223372036854775807": math.MaxInt64, "8191T": 8191 << 40, "007": 7,
	}
	for text, want := range good {
		if n, err := parseSize(text); err != nil || n != want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", text, n, err, want)
		}
	}
	for _, text := range []string{
		"", "M", "0", "0M", "-1", "-1M", "1.5G", "1,5", "0x10", "1e3", "1_000", " 1", "1 ", "1 M", "1MM", "1iB", "1Bi", "1P",
		"max", "infinity", "9223372036854775808", "8388608T", "99999999999999999999", "-99999999999999999999", "٣",
	} {
		if n, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", text, n)
		}
	}
}

func TestParseCPUs(t *testing.T) {
	good := map[string]int64{
		"1": 100_000, "1.5": 150_000, "0.01": 1000, "0.333": 33_300, ".5": 50_000, "1e1": 1_000_000,
		"1048576": 104_857_600_000,
	}
	for text, want := range good {
		quota, period, err := parseCPUs(text)
		if err != nil || quota != want || period != 100_000 {
			t.Errorf("parseCPUs(%q) = %d, %d, %v; want %d per 100000", text, quota, period, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "0.009", "1048577", "NaN", "Inf", "-Inf", "1,5", "two", "1 ", "100%"} {
		if quota, _, err := parseCPUs(text); err == nil {
			t.Errorf("parseCPUs(%q) = %d, want an error", text, quota)
		}
	}
}
