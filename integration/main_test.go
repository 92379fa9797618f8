// Package integration tests the built binary on real hosts, from outside.
package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bin is the pkshim binary under test: $PKSHIM_BIN, else built for this run.
var bin string

func TestMain(m *testing.M) {
	helper() // does not return in a process that a test started
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if bin = os.Getenv("PKSHIM_BIN"); bin == "" {
		dir, err := os.MkdirTemp("", "pkshim-integration-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = filepath.Join(dir, "pkshim")
		build := exec.Command("go", "build", "-tags", "urfave_cli_no_docs", "-o", bin, "../cmd/pkshim")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build pkshim: %v\n%s", err, out)
			return 1
		}
	}
	leftovers := watch()
	code := m.Run()
	if left := leftovers(); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: the tests left behind:\n\t%s\n", strings.Join(left, "\n\t"))
		code = max(code, 1)
	}
	return code
}

// require skips a test that needs what this host has not. PKSHIM_REQUIRE, a
// list of names, makes that a failure: a host that was built to have it has it.
func require(t testing.TB, name string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("PKSHIM_REQUIRE"), ","), name) {
		t.Fatalf("%s is required here: %v", name, err)
	}
	t.Skipf("needs %s: %v", name, err)
}
