package cgroups

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// A bus is one connection to a systemd manager.
//
// Property types and object paths are go-systemd's; its Conn is not used: it
// opens two connections, listens to the jobs of every other client, deadlocks
// all of its jobs when one result is not taken (go-systemd#429), and a context
// bounds only the call, not the job.
type bus struct {
	conn    *dbus.Conn
	signals chan *dbus.Signal
	private bool // the manager's own socket: no bus daemon, no matches
}

const (
	managerName  = "org.freedesktop.systemd1"
	managerPath  = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerIface = "org.freedesktop.systemd1.Manager"
)

// addresses are where a manager may be reached, best first: the bus daemon
// sends a client its own signals only, the private socket sends all to all.
func addresses(user bool) []string {
	if !user {
		system := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS")
		if system == "" {
			system = "unix:path=/run/dbus/system_bus_socket"
		}
		return []string{system, "unix:path=/run/systemd/private"}
	}
	var list []string
	if session := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); session != "" {
		list = append(list, session)
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		for _, socket := range []string{"bus", "systemd/private"} {
			if a := "unix:path=" + filepath.Join(dir, socket); !slices.Contains(list, a) {
				list = append(list, a)
			}
		}
	}
	return list
}

// daemonTimeout is how long the bus daemon has to greet a client. It waits for
// nobody, unlike the manager, which may be busy.
const daemonTimeout = 5 * time.Second

// dial connects to the system's or the user's manager.
func dial(ctx context.Context, user bool) (*bus, error) {
	var errs []error
	for _, address := range addresses(user) {
		b, err := dialAddress(ctx, address)
		if err == nil {
			return b, nil
		}
		errs = append(errs, fmt.Errorf("connect to systemd at %s: %w", address, err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return nil, errors.New("connect to the user's systemd: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set: log in, or enable lingering")
	}
	return nil, errors.Join(errs...)
}

// dialAddress connects to a bus or to the manager's own socket. Authentication
// has no deadline in godbus, so ctx closes the connection under it.
func dialAddress(ctx context.Context, address string) (_ *bus, err error) {
	signals := make(chan *dbus.Signal, 64)
	private := filepath.Base(address) == "private"
	if !private {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, daemonTimeout)
		defer cancel()
	}
	conn, err := dbus.Dial(address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() {
		stopped := stop()
		if err == nil && stopped {
			return
		}
		conn.Close()
		err = errors.Join(err, ctx.Err())
	}()
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
		return nil, err
	}
	b := &bus{conn: conn, signals: signals, private: private}
	conn.Signal(signals)
	if private {
		return b, nil
	}
	return b, conn.Hello()
}

func (b *bus) close() { b.conn.Close() }

// call calls a method of the manager.
func (b *bus) call(ctx context.Context, method string, args ...any) *dbus.Call {
	return b.conn.Object(managerName, managerPath).CallWithContext(ctx, managerIface+"."+method, 0, args...)
}

// listen asks for the job signals of one unit and nothing else. The answer is
// not awaited: the daemon handles messages in order, so the match is there
// before the job. (With these flags godbus's Call would wait for ever on a
// connection that was lost.)
func (b *bus) listen(ctx context.Context, unit string) {
	if b.private {
		return
	}
	rule := fmt.Sprintf("type='signal',interface='%s',member='JobRemoved',arg2='%s'", managerIface, unit)
	b.conn.BusObject().GoWithContext(ctx, "org.freedesktop.DBus.AddMatch", dbus.FlagNoReplyExpected, nil, rule)
}

// job calls a method that returns a start or stop job, and waits for its end.
func (b *bus) job(ctx context.Context, unit, method string, args ...any) error {
	b.listen(ctx, unit)
	var job dbus.ObjectPath
	if err := b.call(ctx, method, args...).Store(&job); err != nil {
		return fmt.Errorf("%s of %s: %w", method, unit, err)
	}
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s of %s: wait for systemd to finish the job: %w", method, unit, ctx.Err())
		case sig, ok := <-b.signals:
			if !ok {
				return fmt.Errorf("%s of %s: the connection to systemd was lost before the job was done: %w", method, unit, dbus.ErrClosed)
			}
			if path, result := jobRemoved(sig); path == job {
				if result == "done" {
					return nil
				}
				return fmt.Errorf("%s of %s: the job's result is %q: see journalctl -u %s", method, unit, result, unit)
			}
		}
	}
}

// settled waits until systemd has no job for any of the units.
func (b *bus) settled(ctx context.Context, units []string) error {
	for _, unit := range units {
		b.listen(ctx, unit)
		for {
			job, err := b.property(ctx, unit, "Unit", "Job") // (u id, o path), id 0: none
			if err != nil {
				return err
			}
			if id, _ := job.Value().([]any); len(id) == 2 && id[0] == uint32(0) {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for systemd to finish with %s: %w", unit, ctx.Err())
			case _, ok := <-b.signals:
				if !ok {
					return fmt.Errorf("wait for systemd to finish with %s: %w", unit, dbus.ErrClosed)
				}
			}
		}
	}
	return nil
}

// jobRemoved takes JobRemoved(u id, o job, s unit, s result) apart.
func jobRemoved(sig *dbus.Signal) (job dbus.ObjectPath, result string) {
	if sig.Name != managerIface+".JobRemoved" || len(sig.Body) != 4 {
		return "", ""
	}
	job, _ = sig.Body[1].(dbus.ObjectPath)
	result, _ = sig.Body[3].(string)
	return job, result
}

// property reads a property of a unit.
func (b *bus) property(ctx context.Context, unit, iface, name string) (dbus.Variant, error) {
	path := dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + sd.PathBusEscape(unit))
	var v dbus.Variant
	err := b.conn.Object(managerName, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, managerName+"."+iface, name).Store(&v)
	if err != nil {
		return v, fmt.Errorf("read %s of %s: %w", name, unit, err)
	}
	return v, nil
}

// managerCgroup is the cgroup below which the manager has its units.
func (b *bus) managerCgroup(ctx context.Context) (string, error) {
	var v dbus.Variant
	err := b.conn.Object(managerName, managerPath).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, managerIface, "ControlGroup").Store(&v)
	if err != nil {
		return "", fmt.Errorf("read ControlGroup of the manager: %w", err)
	}
	s, _ := v.Value().(string)
	return s, nil
}

// isBusError tells whether err is the D-Bus error of that name.
func isBusError(err error, name string) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == name
}

const (
	errUnitExists  = "org.freedesktop.systemd1.UnitExists"
	errNoSuchUnit  = "org.freedesktop.systemd1.NoSuchUnit"
	errUnknownProp = "org.freedesktop.DBus.Error.PropertyReadOnly"
)
