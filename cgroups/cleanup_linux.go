package cgroups

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// What a guard is to clean up, the first of the arguments that New and NewScope
// append to their Guard option.
const (
	cleanDirectory = "directory" // PARENT NAME [MADE...]
	cleanScope     = "scope"     // UNIT system|user
)

// CleanUp is the work of a guard's program, in the process that the guard
// became: this process's owner was killed. dirFD is the parent directory of the
// cgroup, where there is one; args are what followed the Guard option.
func CleanUp(ctx context.Context, dirFD int, args []string) error {
	switch {
	case len(args) >= 3 && args[0] == cleanDirectory:
		return cleanUpDirectory(ctx, &dir{fd: dirFD, path: args[1]}, args[2], args[3:])
	case len(args) == 3 && args[0] == cleanScope:
		return cleanUpScope(ctx, args[1], args[2] == "user")
	}
	return fmt.Errorf("clean up: unknown arguments %q", args)
}

// cleanUpDirectory removes a cgroup whose members have been sent SIGKILL, and
// the levels above that were made for it.
func cleanUpDirectory(ctx context.Context, parent *dir, name string, made []string) error {
	leaf, err := parent.child(name)
	if isGone(err) {
		return nil
	} else if err != nil {
		return err
	}
	defer leaf.close()
	if err := errors.Join(leaf.kill(), leaf.awaitEmpty(ctx)); err != nil {
		return err
	}
	if err := parent.remove(ctx, name); err != nil {
		return err
	}
	for _, m := range made {
		if err := os.Remove(m); err != nil {
			return err
		}
	}
	return nil
}

// cleanUpScope runs in the anchor of a scope whose owner was killed while the
// scope was being made. The requests may be on their way: systemd keeps a scope
// for ever whose process was a zombie by its start, so the anchor must live
// until systemd is done with them. What the owner sent is before what is asked
// here. The end of this process then empties its scope; nothing is stopped by
// name, which may be somebody else's.
func cleanUpScope(ctx context.Context, unit string, user bool) error {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	b, err := dial(ctx, user)
	if err != nil {
		return err
	}
	defer b.close()
	return b.settled(ctx, []string{ownerUnit(unit), unit})
}

// isMember tells whether a process is in the cgroup of that unit, or below it.
func isMember(pid int, unit string) (bool, error) {
	membership, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return false, err
	}
	cgroup, _, _, err := parseMembership(membership)
	return strings.Contains(cgroup+"/", "/"+unit+"/"), err
}

// busEnvironment is what a guard needs to find the bus.
func busEnvironment() []string {
	var env []string
	for _, name := range []string{"DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// ownerUnit is the scope of the process that owns the scope unit.
func ownerUnit(unit string) string { return strings.TrimSuffix(unit, ".scope") + "-owner.scope" }
