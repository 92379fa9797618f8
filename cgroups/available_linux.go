package cgroups

import (
	"context"
	"fmt"
)

// Available is what the groups of one mechanism could have, found without
// changing anything.
type Available struct {
	// Cgroup passes them on to its children, as /proc/PID/cgroup spells it.
	Cgroup string
	// Controllers are those that Cgroup has.
	Controllers []string
	// Manager is the version of the systemd that was asked, "" if none was.
	Manager string
}

// Available reads what New could enable for a cgroup next to this process.
func (h *Host) Available() (*Available, error) {
	o := FSOptions{Own: h.Own, ID: "id"}
	parent, _, err := o.place()
	if err != nil {
		return nil, err
	}
	return h.available(parent)
}

// AvailableScope asks the system's or the calling user's manager what NewScope
// could enable for a unit of its.
func (h *Host) AvailableScope(ctx context.Context, user bool) (*Available, error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	b, err := dial(ctx, user)
	if err != nil {
		return nil, err
	}
	defer b.close()
	top, err := b.managerCgroup(ctx)
	if err != nil {
		return nil, err
	}
	a, err := h.available(top)
	if err != nil {
		return nil, err
	}
	a.Manager, err = b.managerVersion(ctx)
	return a, err
}

func (h *Host) available(cgroup string) (*Available, error) {
	path, ok := h.Mount.Dir(cgroup)
	if !ok {
		return nil, fmt.Errorf("cgroup %s is not below %s", cgroup, h.Mount.Point)
	}
	d, err := openDir(path)
	if err != nil {
		return nil, err
	}
	defer d.close()
	controllers, err := d.fields("cgroup.controllers")
	if err != nil {
		return nil, err
	}
	if cgroup == "" { // the system's manager says so of the root
		cgroup = "/"
	}
	return &Available{Cgroup: cgroup, Controllers: controllers}, nil
}

// managerVersion is systemd's version, with the distribution's suffix.
func (b *bus) managerVersion(ctx context.Context) (version string, err error) {
	err = b.conn.Object(managerName, managerPath).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, managerIface, "Version").Store(&version)
	if err != nil {
		return "", fmt.Errorf("read Version of the manager: %w", err)
	}
	return version, nil
}
