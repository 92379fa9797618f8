//go:build !linux

package integration

func helper() {}

func watch() (leftovers func() []string) { return func() []string { return nil } }
