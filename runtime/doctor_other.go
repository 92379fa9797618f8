//go:build !linux

package runtime

import "context"

func look(context.Context) findings { return findings{facts: probe()} }
