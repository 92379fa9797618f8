//go:build !linux

package spawn

import (
	"context"
	"errors"
	"fmt"
)

// Start is not there on this system yet; the error wraps errors.ErrUnsupported.
func (c *Command) Start(context.Context) (Process, error) {
	return nil, fmt.Errorf("start %q: %w", c.Args, errors.ErrUnsupported)
}
