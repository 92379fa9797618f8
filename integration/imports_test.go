package integration

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pkshim/pkshim/"

// allowed are the imports of ours that each package may have: one direction,
// down to spec.
var allowed = map[string][]string{
	"spec":                {},
	"pgroup/pidfd":        {},
	"pgroup/spawn/nofile": {},
	"pgroup/spawn":        {"pgroup/pidfd", "pgroup/spawn/nofile"},
	"pgroup":              {"spec", "pgroup/pidfd", "pgroup/spawn"},
	"cgroups":             {"spec", "pgroup/pidfd", "pgroup/spawn"},
	"runtime":             {"spec", "cgroups", "pgroup", "pgroup/pidfd", "pgroup/spawn"},
	"cmd/pkshim":          {"spec", "runtime"},
	"hack/benchmark":      {},
	"integration":         {},
}

// doors are packages that only some of ours may use.
var doors = map[string][]string{
	"github.com/godbus/dbus/v5":                {"cgroups"},
	"github.com/urfave/cli/v2":                 {"cmd/pkshim"},
	"golang.org/x/sys/unix":                    {"cgroups", "pgroup", "pgroup/pidfd", "pgroup/spawn", "runtime", "hack/benchmark"},
	"os/exec":                                  {"hack/benchmark"},
	"github.com/containerd/cgroups/v3/cgroup2": {},
}

func TestImports(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		require(t, "go", errors.New("there is no Go toolchain here"))
	}
	for _, goos := range []string{"linux", "windows", "darwin", "freebsd"} {
		t.Run(goos, func(t *testing.T) {
			cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
			cmd.Dir = ".."
			cmd.Env = append(cmd.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("go list: %v", err)
			}
			dec := json.NewDecoder(strings.NewReader(string(out)))
			for {
				var p struct {
					ImportPath string
					Imports    []string
				}
				if err := dec.Decode(&p); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				checkImports(t, strings.TrimPrefix(p.ImportPath, module), p.Imports)
			}
		})
	}
}

func checkImports(t *testing.T, name string, imports []string) {
	may, known := allowed[name]
	if !known {
		t.Errorf("package %s is in no room of the design", name)
	}
	for _, i := range imports {
		if ours, ok := strings.CutPrefix(i, module); ok && !slices.Contains(may, ours) {
			t.Errorf("%s must not import %s", name, ours)
		}
		if users, ok := doors[i]; ok && !slices.Contains(users, name) {
			t.Errorf("%s must not import %s", name, i)
		}
	}
}
