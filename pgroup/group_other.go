//go:build !linux

package pgroup

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/pkshim/pkshim/pgroup/spawn"
	"github.com/pkshim/pkshim/spec"
)

var errNotHere = fmt.Errorf("hold a process tree without a kernel container: %w", errors.ErrUnsupported)

// Init does nothing on this system.
func Init() {}

// A Group cannot be made on this system.
type Group struct{}

// New returns an error that wraps errors.ErrUnsupported.
func New(context.Context) (*Group, error) { return nil, errNotHere }

// Start is not there on this system.
func (g *Group) Start(context.Context, *spawn.Command) (spawn.Process, error) {
	return nil, errNotHere
}

// Signal is not there on this system.
func (g *Group) Signal(syscall.Signal) error { return errNotHere }

// Kill is not there on this system.
func (g *Group) Kill() error { return errNotHere }

// Pids is not there on this system.
func (g *Group) Pids() ([]int, error) { return nil, errNotHere }

// Stats is not there on this system.
func (g *Group) Stats() (*spec.Stats, error) { return nil, errNotHere }

// Wait is not there on this system.
func (g *Group) Wait(context.Context) error { return errNotHere }

// Close is not there on this system.
func (g *Group) Close(context.Context) error { return errNotHere }
