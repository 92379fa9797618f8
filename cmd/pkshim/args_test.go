package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestReorder(t *testing.T) {
	commands := []*cli.Command{runCommand(), validateCommand(), specCommand()}
	tests := []struct{ args, want string }{
		{"pkshim", "pkshim"},
		{"pkshim run", "pkshim run"},
		{"pkshim run x.json", "pkshim run x.json"},
		{"pkshim run x.json --id a", "pkshim run --id a x.json"},
		{"pkshim run x.json --id=a --stats", "pkshim run --id=a --stats x.json"},
		{"pkshim run -id a x.json", "pkshim run -id a x.json"},
		{"pkshim run - --report -", "pkshim run --report - -"},
		{"pkshim run --stats x.json --id a", "pkshim run --stats --id a x.json"},
		// A command's own flags are not pkshim's; the mark itself is doubled for the flag package.
		{"pkshim run --stats -- ls --id a", "pkshim run --stats -- -- ls --id a"},
		{"pkshim run x.json -- ls", "pkshim run -- x.json -- ls"},
		{"pkshim run -- sh -- -c", "pkshim run -- -- sh -- -c"},
		// The value of a flag is what follows it, whatever it looks like.
		{"pkshim run --id -- x.json", "pkshim run --id -- x.json"},
		{"pkshim run x.json --id", "pkshim run --id x.json"},
		{"pkshim run x.json --unknown v", "pkshim run --unknown x.json v"},
		{"pkshim validate x.json --json", "pkshim validate --json x.json"},
		{"pkshim unknown x --json", "pkshim unknown x --json"},
		{"pkshim --version run x", "pkshim --version run x"},
	}
	for _, tt := range tests {
		args := strings.Fields(tt.args)
		before := slices.Clone(args)
		if got := strings.Join(reorder(args, commands), " "); got != tt.want {
			t.Errorf("reorder %q = %q, want %q", tt.args, got, tt.want)
		}
		if !slices.Equal(args, before) {
			t.Errorf("reorder %q changed its argument to %q", tt.args, args)
		}
	}
}

func TestLastWins(t *testing.T) {
	tests := []struct{ env, want string }{
		{"", ""},
		{"A=1", "A=1"},
		{"A=1 B=2 A=3", "B=2 A=3"},
		{"A=1 A=1", "A=1"},
		{"A= A", "A"},
		{"AB=1 A=2", "AB=1 A=2"},
		{"A=x=1 A=x=2", "A=x=2"},
	}
	for _, tt := range tests {
		if got := strings.Join(lastWins(strings.Fields(tt.env)), " "); got != tt.want {
			t.Errorf("lastWins(%s) = %s, want %s", tt.env, got, tt.want)
		}
	}
}
