package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/cgroups"
)

// probe gathers the facts and changes nothing. What fails is a fact that could
// not be told, not a failure.
func probe() facts {
	f := facts{root: os.Geteuid() == 0}
	f.managed = probeManager()
	f.bus = probeBus(f.root)
	f.proc = probeProc()
	h, err := cgroups.Inspect()
	if err != nil {
		f.cgroup2 = fact{no, err.Error()}
		if !errors.Is(err, cgroups.ErrNoMount) {
			f.cgroup2.answer = unknown
		}
		return f
	}
	f.mount, f.mounted, f.own = h.Mount.Point, h.Mount, h.Own
	f.nsRoot = h.Own == "/" && !h.Root
	f.cgroup2 = fact{yes, fmt.Sprintf("cgroup v2 at %s, pkshim in %s", h.Mount.Point, h.Own)}
	f.kill = fact{yes, "cgroup.kill is there"}
	if !h.Kill {
		f.kill = fact{no, "the kernel has no cgroup.kill (needs Linux 5.14)"}
	}
	f.writable = fact{yes, h.Dir + " is writable"}
	if h.Writable != nil {
		f.writable = fact{no, h.Writable.Error()}
	}
	f.delegated = probeDelegation(h)
	return f
}

func probeDelegation(h *cgroups.Host) fact {
	switch {
	case h.Unit == "":
		return fact{no, "pkshim is in no systemd unit"}
	case h.Delegated:
		return fact{yes, h.Unit + " is delegated to pkshim (Delegate=yes)"}
	}
	return fact{no, h.Unit + " has no Delegate=yes"}
}

// probeManager asks as sd_booted(3) does.
func probeManager() fact {
	switch _, err := os.Stat("/run/systemd/system"); {
	case err == nil:
		return fact{yes, "systemd is the init system"}
	case errors.Is(err, os.ErrNotExist):
		return fact{no, "there is no /run/systemd/system"}
	default:
		return fact{unknown, err.Error()}
	}
}

// probeBus looks for the sockets; whether somebody answers shows when asked.
func probeBus(root bool) fact {
	sockets := []string{"/run/dbus/system_bus_socket", "/run/systemd/private"}
	manager := "the system manager"
	if !root {
		manager = "the user's manager"
		dir := os.Getenv("XDG_RUNTIME_DIR")
		if dir == "" && os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
			return fact{no, "the user's manager cannot be reached: neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set (log in, or: loginctl enable-linger)"}
		}
		sockets = []string{filepath.Join(dir, "bus"), filepath.Join(dir, "systemd/private")}
	}
	if address := os.Getenv(map[bool]string{true: "DBUS_SYSTEM_BUS_ADDRESS", false: "DBUS_SESSION_BUS_ADDRESS"}[root]); address != "" {
		return fact{unknown, manager + " at " + address}
	}
	for _, s := range sockets {
		if unix.Access(s, unix.W_OK) == nil {
			return fact{yes, manager + " at " + s}
		}
	}
	return fact{no, fmt.Sprintf("%s cannot be reached: no socket at %q", manager, sockets)}
}

func probeProc() fact {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return fact{no, "/proc shows no processes: " + err.Error()}
	}
	return fact{yes, "/proc shows processes"}
}
