package spawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/pidfd"
)

const nobody = 65534

func TestUser(t *testing.T) {
	requireRoot(t)
	tests := []struct {
		name             string
		user             *User
		uid, gid, groups string
	}{
		{"no groups", &User{UID: nobody, GID: 65533}, "65534", "65533", ""},
		{"groups", &User{UID: nobody, GID: 65533, Groups: []uint32{7, 1000000}}, "65534", "65533", "7 1000000"},
		{"group only", &User{GID: 8}, "0", "8", ""},
		{"large numbers", &User{UID: 1<<32 - 2, GID: 1<<31 + 1}, "4294967294", "2147483649", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := status(t, live(t, Command{User: tt.user}).Pid())
			four := func(id string) string { return strings.Join([]string{id, id, id, id}, " ") }
			if s["Uid"] != four(tt.uid) || s["Gid"] != four(tt.gid) || s["Groups"] != tt.groups {
				t.Errorf("Uid %s, Gid %s, Groups %s", s["Uid"], s["Gid"], s["Groups"])
			}
		})
	}
}

func TestUserKeepsGroups(t *testing.T) {
	requireRoot(t)
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{7, 8}}}
	c := &Command{Args: []string{"/bin/cat", "/proc/self/status"}, User: &User{UID: nobody, GID: nobody, KeepGroups: true}}
	if s := parseStatus(startIn(t, attr, c).Output); s["Groups"] != "7 8" || s["Uid"] != "65534 65534 65534 65534" {
		t.Errorf("Groups %q, Uid %q", s["Groups"], s["Uid"])
	}
	c.User.KeepGroups = false
	if s := parseStatus(startIn(t, attr, c).Output); s["Groups"] != "" {
		t.Errorf("without KeepGroups: Groups %q", s["Groups"])
	}
}

// The program of a user without privileges cannot be another one's.
func TestUserNotPermitted(t *testing.T) {
	requireRoot(t)
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	tests := []struct {
		user *User
		step string
	}{
		{&User{UID: nobody, GID: nobody, Groups: []uint32{0}}, "set supplementary groups [0]"},
		{&User{UID: nobody, GID: 0, KeepGroups: true}, "set group 0"},
		{&User{UID: 0, GID: nobody, KeepGroups: true}, "set user 0"},
	}
	for _, tt := range tests {
		o := startIn(t, attr, &Command{Args: []string{"/bin/true"}, User: tt.user})
		if o.Errno != unix.EPERM || !strings.HasPrefix(o.Err, tt.step) || o.Exec || len(o.Children) > 0 {
			t.Errorf("%+v: %+v", tt.user, o)
		}
	}
}

const (
	chown   = 1 << unix.CAP_CHOWN
	netBind = 1 << unix.CAP_NET_BIND_SERVICE
)

func TestCapabilities(t *testing.T) {
	requireRoot(t)
	dropped := &User{UID: nobody, GID: nobody}
	tests := []struct {
		name                    string
		user                    *User
		caps                    Capabilities
		inh, prm, eff, bnd, amb uint64 // of the program
	}{
		{"root", nil, Capabilities{Bounding: chown | netBind, Permitted: chown, Effective: chown}, 0, chown | netBind, chown | netBind, chown | netBind, 0},
		{"root, none", nil, Capabilities{}, 0, 0, 0, 0, 0},
		{"root, inheritable", nil, Capabilities{Bounding: chown | netBind, Inheritable: netBind}, netBind, chown | netBind, chown | netBind, chown | netBind, 0},
		{"user 0 set", &User{}, Capabilities{Bounding: netBind, Permitted: netBind}, 0, netBind, netBind, netBind, 0},
		{"user", dropped, Capabilities{Bounding: chown | netBind, Permitted: chown, Effective: chown}, 0, 0, 0, chown | netBind, 0},
		{"user, none", dropped, Capabilities{}, 0, 0, 0, 0, 0},
		{"user, inheritable", dropped, Capabilities{Bounding: chown, Permitted: chown, Inheritable: chown}, chown, 0, 0, chown, 0},
		{"user, ambient", dropped, Capabilities{chown | netBind, chown | netBind, netBind, chown | netBind, netBind}, chown | netBind, netBind, netBind, chown | netBind, netBind},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := status(t, live(t, Command{User: tt.user, Capabilities: &tt.caps}).Pid())
			for field, want := range map[string]uint64{"CapInh": tt.inh, "CapPrm": tt.prm, "CapEff": tt.eff, "CapBnd": tt.bnd, "CapAmb": tt.amb} {
				if want := fmt.Sprintf("%016x", want); s[field] != want {
					t.Errorf("%s %s, want %s", field, s[field], want)
				}
			}
		})
	}
}

func TestCapabilitiesNotPermitted(t *testing.T) {
	requireRoot(t)
	all, err := BoundingSet()
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%016x", all); got != status(t, os.Getpid())["CapBnd"] {
		t.Errorf("BoundingSet() = %s, /proc has %s", got, status(t, os.Getpid())["CapBnd"])
	}
	unprivileged := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	tests := []struct {
		name string
		attr *syscall.SysProcAttr
		caps Capabilities
		step string
	}{
		{"ambient that is not inheritable", nil, Capabilities{Bounding: all, Permitted: netBind, Ambient: netBind}, "raise ambient capability 10"},
		{"inheritable beyond bounding", nil, Capabilities{Bounding: chown, Permitted: netBind, Inheritable: netBind}, "set capabilities"},
		{"bounding set of a user", unprivileged, Capabilities{Bounding: all &^ chown}, "drop capability 0 from the bounding set"},
		{"permitted to a user", unprivileged, Capabilities{Bounding: all, Permitted: netBind}, "set capabilities"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := startIn(t, tt.attr, &Command{Args: []string{"/bin/true"}, Capabilities: &tt.caps})
			if o.Errno != unix.EPERM || !strings.HasPrefix(o.Err, tt.step) || o.Exec || len(o.Children) > 0 {
				t.Errorf("%+v", o)
			}
		})
	}
}

// A child that has become another user cannot be killed without CAP_KILL. It
// is reaped all the same if it ends by itself.
func TestFailureWithoutKill(t *testing.T) {
	requireRoot(t)
	all, err := BoundingSet()
	if err != nil {
		t.Fatal(err)
	}
	c := &Command{Args: []string{"/bin/true"}, Dir: "/nonexistent", User: &User{UID: nobody, GID: nobody}}
	bounding := all &^ (1 << unix.CAP_KILL)
	code, out := run(t, &Command{
		Args:         []string{"/proc/self/exe", "helper:start", asJSON(t, c)},
		Env:          []string{quickExit},
		Capabilities: &Capabilities{Bounding: bounding, Permitted: bounding, Effective: bounding},
	})
	if code != 0 {
		t.Fatalf("code %d: %s", code, out)
	}
	if o := parseOutcome(t, "", out); o.Errno != unix.ENOENT || len(o.Children) > 0 || strings.Contains(o.Err, "signal") {
		t.Errorf("%+v", o)
	}
}

func TestPrivilegesAndUmask(t *testing.T) {
	s := status(t, live(t, Command{}).Pid())
	self := status(t, os.Getpid())
	for _, field := range []string{"NoNewPrivs", "Umask", "Uid", "Gid", "Groups", "CapPrm", "CapBnd", "Seccomp"} {
		if s[field] != self[field] {
			t.Errorf("the zero Command has %s %s, this process %s", field, s[field], self[field])
		}
	}
	for _, umask := range []uint32{0, 0o022, 0o777} {
		s := status(t, live(t, Command{NoNewPrivileges: true, Umask: &umask}).Pid())
		if want := fmt.Sprintf("%04o", umask); s["NoNewPrivs"] != "1" || s["Umask"] != want {
			t.Errorf("NoNewPrivs %s, Umask %s, want %s", s["NoNewPrivs"], s["Umask"], want)
		}
	}
}

func TestDirWithTheUsersRights(t *testing.T) {
	requireRoot(t)
	base := t.TempDir()
	for dir := base; dir != "/tmp" && dir != "/"; dir = dir[:strings.LastIndex(dir, "/")] {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	private, grouped := base+"/private", base+"/grouped"
	for dir, mode := range map[string]os.FileMode{private: 0o700, grouped: 0o750} {
		if err := errors.Join(os.Mkdir(dir, mode), os.Chown(dir, 0, 77)); err != nil {
			t.Fatal(err)
		}
	}
	c := &Command{Args: []string{"/bin/true"}, Dir: private, Stdio: [3]int{0, 1, 2}, User: &User{UID: nobody, GID: nobody}}
	_, err := c.Start(context.Background())
	var se *StartError
	if !errors.As(err, &se) || se.Exec || !errors.Is(err, unix.EACCES) || !strings.Contains(se.Step, private) {
		t.Errorf("0700 directory of root: %v", err)
	}
	code, out := run(t, &Command{Args: []string{"/bin/pwd"}, Dir: grouped, User: &User{UID: nobody, GID: nobody, Groups: []uint32{77}}})
	if code != 0 || out != grouped+"\n" {
		t.Errorf("0750 directory of a supplementary group: code %d, %q", code, out)
	}
}

func TestParentDeathSignal(t *testing.T) {
	for name, user := range map[string]*User{"same user": nil, "other user": {UID: nobody, GID: nobody}} {
		t.Run(name, func(t *testing.T) {
			if user != nil {
				requireRoot(t)
			}
			c := &Command{Args: []string{"/bin/cat"}, ParentDeathSignal: int(unix.SIGUSR1), User: user}
			o := startOwner(t, nil, "helper:parent", asJSON(t, c))
			child, err := pidfd.Open(o.pid)
			if err != nil {
				t.Fatal(err)
			}
			defer child.Close()
			o.kill()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			e, err := child.Wait(ctx)
			if err != nil {
				child.Signal(unix.SIGKILL)
				reapOrphans(t)
				t.Fatalf("the child lives on: %v", err)
			}
			if e.Signal != unix.SIGUSR1 {
				t.Errorf("ended with %+v, want %s", e, strconv.Itoa(int(unix.SIGUSR1)))
			}
		})
	}
}
