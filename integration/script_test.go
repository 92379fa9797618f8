package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/pkshim/pkshim/spec"
)

// TestScript runs the scripts of testdata, each of which shows one behaviour of
// the command line. What they need beyond a shell and the usual small tools
// they name in a condition. See the commands below for what testscript lacks.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		Setup:               setupScript,
		Condition:           condition,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"json":   jsonValue,
			"report": validReport,
		},
	})
}

// setupScript puts the binary under test into PATH, and names the user's
// manager, which a script's otherwise clean environment would hide.
func setupScript(e *testscript.Env) error {
	dir := filepath.Join(e.WorkDir, ".bin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	path, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	if err := os.Symlink(path, filepath.Join(dir, "pkshim")); err != nil {
		return err
	}
	e.Setenv("PKSHIM", path)
	e.Setenv("PATH", dir+string(os.PathListSeparator)+e.Getenv("PATH"))
	for _, name := range []string{"XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"} {
		if value, ok := os.LookupEnv(name); ok {
			e.Setenv(name, value)
		}
	}
	return nil
}

// condition answers [root], [systemd], [pgroup] and [limits]. A name in
// PKSHIM_REQUIRE that is not there fails the script.
func condition(name string) (bool, error) {
	probe, ok := probes[name]
	if !ok {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	err := probe()
	if err != nil && slices.Contains(strings.Split(os.Getenv("PKSHIM_REQUIRE"), ","), name) {
		return false, fmt.Errorf("%s is required here: %w", name, err)
	}
	return err == nil, nil
}

// exits CODE PROGRAM ARG... is exec for an exact exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// json FILE PATH VALUE compares a value in a JSON file with VALUE, in JSON, or
// with the regular expression in /VALUE/; json FILE PATH wants any but null, and
// ! json FILE PATH wants null or nothing.
func jsonValue(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 3 || neg && len(args) == 3 {
		ts.Fatalf("usage: json FILE PATH [VALUE] or ! json FILE PATH")
	}
	var document any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &document))
	value := lookUp(document, args[1])
	got, err := json.Marshal(value)
	ts.Check(err)
	switch {
	case len(args) == 2:
		if neg != (value == nil) {
			ts.Fatalf("%s is %s", args[1], got)
		}
	case strings.HasPrefix(args[2], "/"):
		pattern, err := regexp.Compile(strings.Trim(args[2], "/"))
		ts.Check(err)
		if !pattern.Match(got) {
			ts.Fatalf("%s is %s, which does not match %s", args[1], got, args[2])
		}
	case string(got) != args[2]:
		ts.Fatalf("%s is %s, want %s", args[1], got, args[2])
	}
}

// lookUp follows a path such as candidates.0.mechanism; nil is nothing there.
func lookUp(value any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// report FILE wants a report that its schema allows.
func validReport(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: report FILE")
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	schema, err := reportSchema()
	ts.Check(err)
	if err := schema.Validate(document); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
}

var reportSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(spec.ReportSchema()))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("report.json", document); err != nil {
		return nil, err
	}
	return c.Compile("report.json")
})
