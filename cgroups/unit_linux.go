package cgroups

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// start starts the unit with the anchor in it.
func (s *scope) start(ctx context.Context) error {
	props := []sd.Property{
		sd.PropDescription(s.o.Description),
		{Name: "Delegate", Value: dbus.MakeVariant(true)},
		{Name: "CollectMode", Value: dbus.MakeVariant("inactive-or-failed")},
		// The number cannot be used again meanwhile: nobody else reaps our
		// child. So PIDFDs, which systemd 255 brought, would add nothing.
		sd.PropPids(uint32(s.anchor.Process().Pid())),
	}
	for _, name := range []string{"MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"} {
		props = append(props, sd.Property{Name: name, Value: dbus.MakeVariant(true)})
	}
	if s.o.Slice != "" {
		props = append(props, sd.PropSlice(s.o.Slice))
	}
	for _, l := range s.o.Settings {
		if l.Property != "" {
			props = append(props, sd.Property{Name: l.Property, Value: dbus.MakeVariant(l.Variant)})
		}
	}
	// The default with Delegate=yes, made certain.
	props = append(props, sd.Property{Name: "OOMPolicy", Value: dbus.MakeVariant("continue")})
	return s.startUnit(ctx, s.o.Unit, props)
}

// startUnit starts a transient unit. A property that this systemd does not know
// is left out: the file in the leaf has the limit, and what systemd does not
// know it does not reset. A unit of that name that only failed is cleared, once.
func (s *scope) startUnit(ctx context.Context, unit string, props []sd.Property) error {
	cleared := false
	for {
		err := s.bus.job(ctx, unit, "StartTransientUnit", unit, "fail", props, []sd.PropertyCollection{})
		switch {
		case err == nil:
			return nil
		case isBusError(err, errUnknownProp):
			name := unknownProperty(err)
			at := slices.IndexFunc(props, func(p sd.Property) bool { return p.Name == name })
			if at < 0 || s.onlyByUnit(name) {
				return err
			}
			props = slices.Delete(props, at, at+1)
		case isBusError(err, errUnitExists) && !cleared:
			cleared = true
			if err := s.bus.call(ctx, "ResetFailedUnit", unit).Err; err != nil && !isBusError(err, errNoSuchUnit) {
				return fmt.Errorf("clear the failed unit %s: %w", unit, err)
			}
		case isBusError(err, errUnitExists):
			return fmt.Errorf("%s exists already and is %s: choose another id, or end it with: systemctl stop %s: %w", unit, s.describe(ctx, unit), unit, err)
		default:
			return err
		}
	}
}

// onlyByUnit says that a limit holds by the unit's property alone: weights and
// protections act among the unit's siblings, and the leaf has none.
func (s *scope) onlyByUnit(property string) bool {
	return slices.ContainsFunc(s.o.Settings, func(l Setting) bool {
		switch l.File {
		case "", "cpu.weight", "cpu.idle", "io.weight", "io.bfq.weight", "memory.low", "memory.min":
			return l.Property == property
		}
		return false
	})
}

// unknownProperty finds NAME in "Cannot set property NAME, or unknown property."
func unknownProperty(err error) string {
	_, rest, _ := strings.Cut(err.Error(), "Cannot set property ")
	name, _, _ := strings.Cut(rest, ",")
	return name
}

// describe is the state of a unit, for a message.
func (s *scope) describe(ctx context.Context, unit string) string {
	var words []string
	for _, p := range []string{"ActiveState", "FreezerState"} {
		if v, err := s.bus.property(ctx, unit, "Unit", p); err == nil {
			if w, ok := v.Value().(string); ok && w != "running" { // FreezerState: running means not frozen
				words = append(words, w)
			}
		}
	}
	if len(words) == 0 {
		return "in an unknown state"
	}
	return strings.Join(words, " and ")
}

// joinManager moves this process into a scope of its own below the user's
// manager, unless it is there: to be born in a cgroup, the parent must be
// allowed to write to the nearest one above both.
func (s *scope) joinManager(ctx context.Context, g *Group) error {
	top, err := s.bus.managerCgroup(ctx)
	if err != nil {
		return err
	}
	if strings.HasPrefix(s.o.Own+"/", top+"/") {
		return nil
	}
	unit := ownerUnit(s.o.Unit)
	err = s.startUnit(ctx, unit, []sd.Property{
		sd.PropDescription("pkshim, owner of " + s.o.Unit),
		{Name: "CollectMode", Value: dbus.MakeVariant("inactive-or-failed")},
		// The anchor as well: it outlives this process, and systemd keeps a
		// scope for ever whose processes were zombies by its start.
		sd.PropPids(uint32(os.Getpid()), uint32(s.anchor.Process().Pid())),
	})
	if err != nil {
		return err
	}
	g.Notes = append(g.Notes, fmt.Sprintf("pkshim moved itself from %s to %s, below the user's manager", s.o.Own, unit))
	return nil
}
