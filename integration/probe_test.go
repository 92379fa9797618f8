package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
)

// probes find out once what this host has, by doing it.
var probes = map[string]func() error{
	"root": func() error {
		if os.Geteuid() != 0 {
			return fmt.Errorf("the user is %d", os.Geteuid())
		}
		return nil
	},
	"systemd": sync.OnceValue(func() error { return try("--mechanism", "systemd") }),
	"pgroup":  sync.OnceValue(func() error { return try("--mechanism", "pgroup") }),
	"limits":  sync.OnceValue(func() error { return try("--memory", "256M", "--pids", "64", "--cpus", "1") }),
}

func try(flags ...string) error {
	out, err := exec.Command(bin, slices.Concat([]string{"run"}, flags, []string{"--", "true"})...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
