package spawn

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// run starts c with its output in a pipe and returns the exit code and output.
func run(t *testing.T, c *Command) (int, string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c.Stdio = [3]int{0, int(w.Fd()), int(w.Fd())}
	p, err := c.Start(context.Background())
	w.Close()
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	defer p.Close()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	e, err := p.Wait(context.Background())
	if err != nil {
		t.Fatalf("Wait: %v", err)
	}
	if e.Signal != 0 {
		return 128 + int(e.Signal), string(out)
	}
	return e.Code, string(out)
}

func TestStart(t *testing.T) {
	umask := uint32(0o027)
	tests := []struct {
		name string
		cmd  Command
		code int
		want string
	}{
		{"exit code", Command{Args: []string{"/bin/sh", "-c", "exit 7"}}, 7, ""},
		{"signal", Command{Args: []string{"/bin/sh", "-c", "kill -9 $$"}}, 137, ""},
		{"found in PATH of Env", Command{Args: []string{"sh", "-c", "echo $A"}, Env: []string{"PATH=/nonexistent:/bin", "A=b c"}}, 0, "b c\n"},
		{"found in the default PATH", Command{Args: []string{"env"}, Env: []string{"A=1"}}, 0, "A=1\n"},
		{"empty environment", Command{Args: []string{"/usr/bin/env"}}, 0, ""},
		{"directory", Command{Args: []string{"pwd"}, Dir: "/usr"}, 0, "/usr\n"},
		{"umask", Command{Args: []string{"sh", "-c", "umask"}, Umask: &umask}, 0, "0027\n"},
		{"rlimit", Command{Args: []string{"sh", "-c", "ulimit -n; ulimit -H -n"}, Rlimits: []Rlimit{{unix.RLIMIT_NOFILE, 33, 44}}}, 0, "33\n44\n"},
		{"descriptors", Command{Args: []string{"sh", "-c", "ls /proc/$$/fd"}}, 0, "0\n1\n2\n"},
		{"process group", Command{Args: []string{"sh", "-c", "read a b c d pgrp rest </proc/$$/stat; [ $pgrp = $$ ]"}, ProcessGroup: NewProcessGroup}, 0, ""},
	}
	leak, err := unix.Open("/dev/null", unix.O_RDONLY, 0) // without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out := run(t, &tt.cmd)
			if code != tt.code || out != tt.want {
				t.Errorf("code %d, output %q; want %d, %q", code, out, tt.code, tt.want)
			}
		})
	}
}

func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/plain", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		cmd  Command
		exec bool
		want error
	}{
		{"missing path", Command{Args: []string{"/nonexistent/x"}}, true, unix.ENOENT},
		{"missing in PATH", Command{Args: []string{"nonexistent-program"}}, true, unix.ENOENT},
		{"not executable", Command{Args: []string{dir + "/plain"}}, true, unix.EACCES},
		{"not executable, then missing", Command{Args: []string{"plain"}, Env: []string{"PATH=" + dir + ":/bin"}}, true, unix.EACCES},
		{"missing directory", Command{Args: []string{"/bin/true"}, Dir: "/nonexistent"}, false, unix.ENOENT},
		{"NUL", Command{Args: []string{"/bin/true", "a\x00b"}}, false, unix.EINVAL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cmd.Stdio = [3]int{0, 1, 2}
			p, err := tt.cmd.Start(context.Background())
			if err == nil {
				p.Close()
				t.Fatal("started")
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			var se *StartError
			if errors.As(err, &se) && se.Exec != tt.exec {
				t.Errorf("Exec %v in %v", se.Exec, err)
			}
		})
	}
}
