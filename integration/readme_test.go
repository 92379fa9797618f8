package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// notRun are the commands of the README that the test does not execute.
var notRun = map[string]string{
	"hack/test":                "it runs this very test",
	"go vet ./...":             "it is a part of hack/test",
	"go test ./spec ./runtime": "it is a part of hack/test",
}

// TestReadme executes what the README tells people to type, and compares what
// it shows. A block of commands is fenced as sh; one with "$ " before each
// command, and its output, as console. A comment "needs NAME" before a block
// names what the host must have for it.
func TestReadme(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require(t, "checkout", err)
	if lines := strings.Count(string(text), "\n"); lines > 200 {
		t.Errorf("README.md has %d lines: it is for a first reading", lines)
	}
	// The commands see one directory of binaries, into which one of them installs.
	binaries := t.TempDir()
	path, err := filepath.Abs(bin)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, filepath.Join(binaries, "pkshim")); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "GOBIN="+t.TempDir(), "PATH="+binaries+":"+os.Getenv("PATH"))
	examples := readExamples(string(text))
	if len(examples) < 8 {
		t.Fatalf("%d examples: they are not found any more", len(examples))
	}
	for _, e := range examples {
		t.Run(e.command, func(t *testing.T) { e.run(t, root, env) })
	}
}

// An example is a command of the README with the output that it shows.
type example struct {
	command, want string
	checked       bool // there is an output to compare, be it empty
	needs         string
}

var fence = regexp.MustCompile("(?ms)^(?:<!-- needs (\\w+) -->\n)?```(sh|console)\n(.*?)^```$")

func readExamples(text string) []example {
	var list []example
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(block[3]) {
			command, isCommand := strings.CutPrefix(line, "$ ")
			switch {
			case block[2] == "sh" || isCommand:
				list = append(list, example{command: strings.TrimSpace(command), checked: isCommand, needs: block[1]})
			default:
				list[len(list)-1].want += line
			}
		}
	}
	return list
}

func (e *example) run(t *testing.T, dir string, env []string) {
	if why, ok := notRun[e.command]; ok {
		t.Skip("not run: " + why)
	}
	if e.needs != "" {
		require(t, e.needs, probes[e.needs]())
	}
	command := e.command
	if _, err := exec.LookPath("go"); err != nil {
		command = strings.Replace(command, "go run ./cmd/pkshim", "pkshim", 1)
		if strings.HasPrefix(command, "go ") {
			require(t, "go", err)
		}
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	if !e.checked {
		if err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	if !pattern(e.want).Match(out) {
		t.Errorf("the output is\n%s\nand the README shows\n%s", out, e.want)
	}
}

// pattern is what the shown output stands for: "…" for anything, alone in its
// line for any lines, and for the values that differ from run to run their kind.
func pattern(shown string) *regexp.Regexp {
	var b strings.Builder
	for line := range strings.Lines(shown) {
		if strings.TrimSpace(line) == "…" {
			b.WriteString("(?:.*\n)*?")
			continue
		}
		p := regexp.QuoteMeta(line)
		for _, v := range varying {
			p = v.shown.ReplaceAllLiteralString(p, v.any)
		}
		b.WriteString(p)
	}
	return regexp.MustCompile(fmt.Sprintf("^%s$", b.String()))
}

// varying are values that depend on the host and the moment, as they are shown
// (with their metacharacters quoted), and what they may be instead.
var varying = []struct {
	shown *regexp.Regexp
	any   string
}{
	{regexp.MustCompile(`…`), `.*`},
	{regexp.MustCompile(`\bsystemd\b`), `(?:systemd|cgroupfs|pgroup|no mechanism can be had)`},
	{regexp.MustCompile(`\b[0-9a-z]{13}\b`), `[0-9a-z]+`},
	{regexp.MustCompile(`\b[0-9]+(\\\.[0-9]+)?(µs|ms|s)\b`), `[0-9.]+(?:µs|ms|s)`},
	{regexp.MustCompile(`\b[0-9]+(\\\.[0-9]+)? (B|KiB|MiB)\b`), `[0-9.]+ (?:B|KiB|MiB)`},
}
