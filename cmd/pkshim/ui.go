package main

// The rules of the user interface: stdout is for what was asked (a document, a
// report on -), stderr for people. A message begins with "pkshim: ", in lower
// case, without a period. Control characters in what comes from outside are
// quoted. Only this file prints to stderr.

import (
	"fmt"
	"os"
	"strings"
	"unicode"
)

func errorf(format string, args ...any) {
	for line := range strings.SplitSeq(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n") {
		fmt.Fprintf(os.Stderr, "pkshim: %s\n", printable(line))
	}
}

func warnf(format string, args ...any) { errorf("warning: "+format, args...) }

// note prints lines that are laid out already.
func note(text string) { fmt.Fprint(os.Stderr, text) }

// printable keeps a terminal from obeying a message.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
