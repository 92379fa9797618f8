package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type object = map[string]any

// TestEnvironment: the variables and the umask are the spec's and no others.
func TestEnvironment(t *testing.T) {
	each(t, func(t *testing.T, m mechanism) {
		env := []string{"A=1", "B=two words\tand = signs", "EMPTY="}
		res := call{mechanism: m, spec: object{"process": object{
			"args": []string{"/usr/bin/env"}, "env": env, "cwd": "/",
		}}}.ran(t)
		if want := strings.Join(env, "\n") + "\n"; res.stdout != want {
			t.Errorf("the environment is\n%swant\n%s", res.stdout, want)
		}
		res = call{mechanism: m, spec: object{"process": object{
			"args": []string{"/usr/bin/env"}, "env": []string{}, "cwd": "/",
		}}}.ran(t)
		if res.stdout != "" {
			t.Errorf("the empty environment is\n%s", res.stdout)
		}
		for _, umask := range []int{0o027, 0, 0o777} {
			res := call{mechanism: m, spec: object{"process": object{
				"args": shell("umask"), "cwd": "/",
				"user": object{"uid": os.Getuid(), "gid": os.Getgid(), "umask": umask},
			}}}.ran(t)
			if want := fmt.Sprintf("%04o\n", umask); res.stdout != want {
				t.Errorf("umask %s, want %s", res.stdout, want)
			}
		}
	})
}

// TestUser: the workload has another user inside of its group, and is held.
func TestUser(t *testing.T) {
	needRoot(t)
	each(t, func(t *testing.T, m mechanism) {
		res := call{mechanism: m, spec: object{"process": object{
			"args": shell("id -u; id -g; id -G; grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status; cat /proc/self/cgroup; sleep 300 & exit 0"), "cwd": "/",
			"user": object{"uid": 12345, "gid": 23456, "additionalGids": []int{7, 8}},
		}}}.ran(t)
		res.exited(t, 0)
		want := "12345\n23456\n23456 7 8\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n"
		if !strings.HasPrefix(res.stdout, want) {
			t.Errorf("the workload says\n%swant\n%s", res.stdout, want)
		}
		if line := "0::" + res.report.Cgroup + "\n"; res.report.Cgroup != "" && !strings.Contains(res.stdout, line) {
			t.Errorf("the workload is not in %s:\n%s", line, res.stdout)
		}
		if n := *res.report.Leftovers.Killed; n != 1 {
			t.Errorf("%d leftovers, want 1", n)
		}
		nothingLeft(t, res.id)
	})
}

// TestCapabilities: the sets of the workload are the spec's. A root program
// gets its bounding set as permitted (capabilities(7)), an ordinary user's its
// ambient set.
func TestCapabilities(t *testing.T) {
	needRoot(t)
	const chown, kill, bind = 1 << 0, 1 << 5, 1 << 10
	each(t, func(t *testing.T, m mechanism) {
		for _, tt := range []struct {
			uid  int
			own  []string // permitted and effective
			want map[string]int
		}{
			{0, []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"}, map[string]int{"Bnd": chown | kill | bind, "Inh": kill | bind, "Prm": chown | kill | bind, "Eff": chown | kill | bind, "Amb": kill}},
			{12345, []string{"CAP_KILL"}, map[string]int{"Bnd": chown | kill | bind, "Inh": kill | bind, "Prm": kill, "Eff": kill, "Amb": kill}},
		} {
			res := call{mechanism: m, spec: object{"process": object{
				"args": shell("grep Cap /proc/self/status"), "cwd": "/",
				"user": object{"uid": tt.uid, "gid": tt.uid},
				"capabilities": object{
					"bounding":    []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"},
					"permitted":   tt.own,
					"effective":   tt.own,
					"inheritable": []string{"CAP_KILL", "CAP_NET_BIND_SERVICE"},
					"ambient":     []string{"CAP_KILL"},
				},
			}}}.ran(t)
			for set, bits := range tt.want {
				if line := fmt.Sprintf("Cap%s:\t%016x\n", set, bits); !strings.Contains(res.stdout, line) {
					t.Errorf("uid %d: want %sgot\n%s", tt.uid, line, res.stdout)
				}
			}
			if len(res.report.Warnings) > 0 {
				t.Errorf("warnings %q", res.report.Warnings)
			}
		}
	})
}

// TestNoCapabilities: what an ordinary user cannot grant is a warning, and is
// not granted.
func TestNoCapabilities(t *testing.T) {
	if isRoot {
		t.Skip("needs an ordinary user")
	}
	each(t, func(t *testing.T, m mechanism) {
		res := call{mechanism: m, spec: object{"process": object{
			"args": shell("grep -E 'Cap(Eff|Amb)' /proc/self/status"), "cwd": "/", "noNewPrivileges": true,
			"user": object{"uid": os.Getuid(), "gid": os.Getgid()},
			"capabilities": object{
				"permitted": []string{"CAP_KILL"}, "inheritable": []string{"CAP_KILL"}, "ambient": []string{"CAP_KILL"},
			},
		}}}.ran(t)
		res.exited(t, 0)
		if want := "CapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n"; res.stdout != want {
			t.Errorf("got\n%swant\n%s", res.stdout, want)
		}
		if !strings.Contains(strings.Join(res.report.Warnings, "\n"), "ambient: pkshim cannot grant CAP_KILL") {
			t.Errorf("warnings %q", res.report.Warnings)
		}
	})
}

// TestReportPlace: a report that cannot be written is an error before anything
// starts where that can be known, and goes to standard error where it cannot.
func TestReportPlace(t *testing.T) {
	m := quickest(t)
	absent := filepath.Join(t.TempDir(), "absent", "report")
	call{mechanism: m, report: absent}.refused(t, absent)

	res := call{mechanism: m, report: "/dev/full", command: shell("echo ran; exit 3")}.run(t)
	saved(t, res, "/dev/full")
	nothingLeft(t, res.id)
}

// saved checks a run whose report could not be written, and is in its messages.
func saved(t *testing.T, res *result, name string) {
	t.Helper()
	if res.code != 125 || res.stdout != "ran\n" || !strings.Contains(res.stderr, name) || !strings.Contains(res.stderr, "no space left") {
		t.Errorf("exit code %d, output %q\n%s", res.code, res.stdout, res.stderr)
	}
	start, end := strings.Index(res.stderr, "{\n"), strings.LastIndex(res.stderr, "\n}\n")
	if start < 0 || end < start {
		t.Fatalf("the report is lost:\n%s", res.stderr)
	}
	if r := runReport(t, []byte(res.stderr[start:end+3])); r.Exit.Code == nil || *r.Exit.Code != 3 {
		t.Errorf("%+v", r.Exit)
	}
}

// TestReportFull writes to a full file system, in a mount namespace of its own.
func TestReportFull(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	name := filepath.Join(dir, "report")
	m := quickest(t)
	full := `mount -t tmpfs -o size=64k tmpfs "$0" && dd if=/dev/zero of="$0/filler" bs=64k 2>/dev/null; "$@"; code=$?; ls -A "$0" >&2; exit $code`
	m.wrap = []string{"unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", full, dir}
	res := call{mechanism: m, report: name, command: shell("echo ran; exit 3")}.run(t)
	saved(t, res, name)
	if !strings.HasSuffix(res.stderr, "}\nfiller\n") && !strings.HasSuffix(res.stderr, "instead)\nfiller\n") {
		t.Errorf("files are left: %s", res.stderr)
	}
	nothingLeft(t, res.id)
}
