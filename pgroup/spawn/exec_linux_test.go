package spawn

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// files makes a directory with the given files, executable unless the name
// begins with "plain".
func files(t *testing.T, contents map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range contents {
		path, mode := filepath.Join(dir, name), os.FileMode(0o755)
		if strings.HasPrefix(name, "plain") {
			mode = 0o644
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSearch(t *testing.T) {
	dir := files(t, map[string]string{"where": "#!/bin/sh\necho first\n", "sub/where": "#!/bin/sh\necho second\n", "plain/where": "", "plainwhere": ""})
	if err := os.Chmod(dir+"/plain/where", 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, program, path, want string }{
		{"empty first element", "where", ":" + dir + "/sub", "first\n"},
		{"empty last element", "where", "/nonexistent:", "first\n"},
		{"empty element in between", "where", "/nonexistent::" + dir + "/sub", "first\n"},
		{"empty PATH", "where", "", "first\n"},
		{"relative element", "where", "sub", "second\n"},
		{"trailing slash", "where", dir + "/sub/", "second\n"},
		{"order", "where", dir + "/sub:" + dir, "second\n"},
		{"element that is a file", "where", dir + "/where:" + dir + "/sub", "second\n"},
		{"what cannot be executed is passed over", "where", dir + "/plain:" + dir + "/sub", "second\n"},
		{"relative program is not searched", "sub/where", "/nonexistent", "second\n"},
		{"dot", "./where", dir + "/sub", "first\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &Command{Args: []string{tt.program}, Env: []string{"PATH=" + tt.path}, Dir: dir}
			if code, out := run(t, c); code != 0 || out != tt.want {
				t.Errorf("code %d, output %q, want %q", code, out, tt.want)
			}
		})
	}
}

func TestPath(t *testing.T) {
	c := &Command{Args: []string{"another name", "-c", "echo $0"}, Path: "/bin/sh"}
	if code, out := run(t, c); code != 0 || out != "another name\n" {
		t.Errorf("code %d, output %q", code, out)
	}
}

func TestExecErrors(t *testing.T) {
	dir := files(t, map[string]string{
		"text": "echo no\n", "empty": "", "nointerpreter": "#!/nonexistent/sh\n", "plain": "#!/bin/sh\n", "directory/file": "",
		"badelf": "\x7fELF" + strings.Repeat("\x00", 100),
	})
	if err := os.Symlink("loop", dir+"/loop"); err != nil {
		t.Fatal(err)
	}
	busy, err := os.OpenFile(files(t, map[string]string{"busy": "#!/bin/sh\n"})+"/busy", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	long := strings.Repeat("x", 1<<20)
	tests := []struct {
		name, program, path string
		args                []string
		want                error
	}{
		{"no magic", dir + "/text", "", nil, unix.ENOEXEC},
		{"no magic, searched", "text", dir + ":/bin", nil, unix.ENOEXEC},
		{"empty file", dir + "/empty", "", nil, unix.ENOEXEC},
		{"damaged executable", dir + "/badelf", "", nil, unix.ENOEXEC},
		{"missing interpreter", dir + "/nointerpreter", "", nil, unix.ENOENT},
		{"directory", dir + "/directory", "", nil, unix.EACCES},
		{"directory, searched", "directory", dir, nil, unix.EACCES},
		{"below a file", dir + "/text/x", "", nil, unix.ENOTDIR},
		{"missing below a file and elsewhere", "nonexistent", dir + ":" + dir + "/text", nil, unix.ENOENT},
		{"missing elsewhere and below a file", "nonexistent", dir + "/text:" + dir, nil, unix.ENOENT},
		{"symlink loop", dir + "/loop", "", nil, unix.ELOOP},
		{"open for writing", busy.Name(), "", nil, unix.ETXTBSY},
		{"name too long", strings.Repeat("x", 300), "/bin", nil, unix.ENAMETOOLONG},
		{"argument of 1 MB", "/bin/true", "", []string{long}, unix.E2BIG},
		{"environment of 1 MB", "/bin/true", long, nil, unix.E2BIG},
		{"many arguments", "/bin/true", "", strings.Split(strings.Repeat("x,", 1<<20), ","), unix.E2BIG},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &Command{Args: append([]string{tt.program}, tt.args...), Env: []string{"PATH=" + tt.path}, Stdio: [3]int{0, 1, 2}}
			_, err := c.Start(patient(t))
			var se *StartError
			if !errors.Is(err, tt.want) || !errors.As(err, &se) || !se.Exec || se.Step != "execute "+tt.program {
				t.Errorf("Start returned %.200q, want %v", err, tt.want)
			}
		})
	}
	if pids := children(); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
}

func TestCommandErrors(t *testing.T) {
	null := "a\x00b"
	for name, c := range map[string]*Command{
		"no arguments":       {},
		"empty program":      {Args: []string{""}},
		"NUL in program":     {Args: []string{null}},
		"NUL in argument":    {Args: []string{"/bin/true", null}},
		"NUL in environment": {Args: []string{"/bin/true"}, Env: []string{null}},
		"NUL in PATH":        {Args: []string{"true"}, Env: []string{"PATH=" + null}},
		"NUL in directory":   {Args: []string{"/bin/true"}, Dir: null},
		"no such descriptor": {Args: []string{"/bin/true"}, Stdio: [3]int{0, 1, 1 << 20}},
		"descriptor below 0": {Args: []string{"/bin/true"}, Stdio: [3]int{0, -1, 2}},
		"no such group":      {Args: []string{"/bin/true"}, Group: 1 << 20, Stdio: [3]int{0, 1, 2}},
		"no such pgrp":       {Args: []string{"/bin/true"}, ProcessGroup: 1 << 30, Stdio: [3]int{0, 1, 2}},
	} {
		p, err := c.Start(patient(t))
		if err == nil {
			p.Wait(context.Background())
			p.Close()
			t.Errorf("%s: no error", name)
		}
		var se *StartError
		if errors.As(err, &se) && se.Exec {
			t.Errorf("%s: %v is said to come from the execution", name, err)
		}
	}
}

func TestLongArguments(t *testing.T) {
	arg := strings.Repeat("x", 100_000) // the kernel takes 128 KiB each
	c := &Command{Args: []string{"/bin/sh", "-c", `printf %s "$@"`, "sh", arg, arg, arg, arg, arg, arg, arg, arg, arg, arg}}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c.Stdio = [3]int{0, int(w.Fd()), 2}
	p, err := c.Start(patient(t))
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil || out.Len() != 10*len(arg) {
		t.Errorf("%d bytes of arguments arrived (%v)", out.Len(), err)
	}
	if _, err := p.Wait(patient(t)); err != nil {
		t.Error(err)
	}
}
