package spawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
)

func TestArm(t *testing.T) {
	file := t.TempDir() + "/cgroup.kill"
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	tests := []struct {
		name, file string
		ctx        context.Context
		stopped    bool // the anchor cannot answer
		ok         bool
	}{
		{"file", file, context.Background(), false, true},
		{"missing file", file + "/missing", context.Background(), false, false},
		{"no name", "", context.Background(), false, false},
		{"name too long", strings.Repeat("/x", unix.PathMax), context.Background(), false, false},
		{"end of the context", file, canceled, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, err := NewAnchor(nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Dismiss()
			if tt.stopped {
				if err := g.Process().Signal(unix.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				awaitChild(t, g.Process().Pid(), unix.WSTOPPED)
			}
			err = g.Arm(tt.ctx, tt.file)
			if (err == nil) != tt.ok {
				t.Errorf("Arm returned %v", err)
			}
			if err != nil && tt.ctx.Err() != nil && !errors.Is(err, tt.ctx.Err()) {
				t.Errorf("Arm returned %v, want %v", err, tt.ctx.Err())
			}
			if err := g.Arm(context.Background(), tt.file); err == nil {
				t.Error("armed twice")
			}
		})
	}
	g, _ := newGuard(t)
	if err := g.Arm(context.Background(), file); err == nil {
		t.Error("a guard that is no anchor was armed")
	}
	if text, err := os.ReadFile(file); err != nil || len(text) > 0 {
		t.Errorf("%q was written (%v)", text, err)
	}
}

func TestBystander(t *testing.T) {
	o := startOwner(t, &syscall.SysProcAttr{Setpgid: true}, "helper:bystander")
	for _, step := range []struct {
		to   int
		want int
	}{{o.pid, 0}, {-o.pid, 1}} {
		if err := unix.Kill(step.to, unix.SIGINT); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintln(o.in); err != nil {
			t.Fatal(err)
		}
		if pending, err := o.number(); err != nil || pending != step.want {
			t.Errorf("kill(%d): %d bystanders have the signal pending (%v), want %d", step.to, pending, err, step.want)
		}
	}
	o.in.Close()
	o.Wait()
	if pids := children(); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
}

func TestOwnersEnd(t *testing.T) {
	requireRoot(t)
	for _, kind := range []string{"none", "guard", "cleanup", "anchor", "unarmed"} {
		t.Run(kind, func(t *testing.T) {
			dir := newCgroup(t)
			o := startOwner(t, nil, "helper:owner", kind, dir)
			var guard *pidfd.FD
			if o.pid > 0 {
				var err error
				if guard, err = pidfd.Open(o.pid); err != nil {
					t.Fatal(err)
				}
				defer guard.Close()
			}
			o.kill()
			if guard != nil {
				e, err := guard.Wait(patient(t)) // an orphan that this process adopted
				if err != nil {
					t.Fatalf("the guard: %v", err)
				}
				wantCode := exitOfList // the list of calls ended, or a call failed
				if kind == "cleanup" {
					wantCode = 0
				}
				if e.Signal != 0 || e.Code != wantCode {
					t.Errorf("the guard ended with %+v, want code %d", e, wantCode)
				}
			}
			switch kind {
			case "none", "unarmed": // the tree outlives its owner
				if events, err := os.ReadFile(dir + "/cgroup.events"); err != nil || !strings.Contains(string(events), "populated 1") {
					t.Errorf("%s (%v)", events, err)
				}
				write(t, dir+"/cgroup.kill", "1")
			case "cleanup":
				if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the cgroup is still there: %v", err)
				}
			}
			awaitEmpty(t, dir)
			reapOrphans(t)
		})
	}
}

// The owner dies while its workload is not yet executed: it never is.
func TestOwnerKilledBeforeExec(t *testing.T) {
	requireRoot(t)
	dir := newCgroup(t)
	write(t, dir+"/cgroup.freeze", "1")
	file := t.TempDir() + "/executed"
	c := &Command{Args: []string{"/usr/bin/touch", file}, Group: 3}
	o := startHelper(t, nil, []*os.File{openCgroup(t, dir)}, "helper:start", asJSON(t, c))
	awaitLine(t, dir, "populated 1\n")
	o.kill()
	write(t, dir+"/cgroup.freeze", "0")
	reapOrphans(t)
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the program was executed (%v)", err)
	}
}
