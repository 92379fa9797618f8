package runtime

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pkshim/pkshim/pgroup/spawn"
)

// A terminal tells apart the signals that a terminal sends to the whole process
// group, which the workload in it has received as well, from those sent to
// pkshim alone, which it has not. Go does not give a signal's origin
// (siginfo_t), but a bystander in the group keeps its copy pending.
type terminal struct{ bystander *spawn.Guard }

func (t *terminal) watch() (err error) {
	t.bystander, err = spawn.NewBystander()
	return err
}

// reachedAll says that sig was sent to the whole process group.
func (t *terminal) reachedAll(sig syscall.Signal) bool {
	if t.bystander == nil {
		return false
	}
	pending, err := t.bystander.Pending(sig)
	if err != nil || !pending {
		return false
	}
	// A pending signal stays so; the next one needs a fresh bystander. Without
	// one the signal is passed on, rather twice than never.
	t.close()
	if t.watch() != nil {
		t.bystander = nil
	}
	return true
}

func (t *terminal) close() {
	if t.bystander != nil {
		t.bystander.Dismiss()
		t.bystander = nil
	}
}

// signalName is the name as kill(1) and the kernel headers have it.
func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return "SIG" + sig.String() // real-time signals have no name
}

// ControlsTerminal says that fd is the terminal that controls this process's
// session, so that its keys send signals here.
func ControlsTerminal(fd int) bool {
	_, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP) // ENOTTY unless it is the controlling one (tty_ioctl(2))
	return err == nil
}
