package spec

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A ProblemKind says what sort of thing is wrong at one place of a spec.
type ProblemKind string

const (
	// KindSyntax: the document is not JSON.
	KindSyntax ProblemKind = "syntax"
	// KindUnknown: a property that runtime-spec does not define.
	KindUnknown ProblemKind = "unknown"
	// KindType: a value of another JSON type than the property has.
	KindType ProblemKind = "type"
	// KindValue: a value that is out of range, malformed, missing or contradicts another.
	KindValue ProblemKind = "value"
	// KindUnsupported: a valid value that pkshim refuses. Such a problem wraps
	// [errors.ErrUnsupported].
	KindUnsupported ProblemKind = "unsupported"
)

// A Problem is one thing that is wrong with a spec.
type Problem struct {
	// Path is where it is: "process.rlimits[2].type". A name that is no plain
	// word is quoted: `linux.resources.unified["memory.max"]`. It is empty for
	// the document itself.
	Path string `json:"path"`
	// Line and Column are the place in the document, from 1; a column is one
	// Unicode character, a line ends with LF or CR LF. Both are 0 in a spec that was
	// not decoded from a document. A missing property has the place of the
	// object it is missing from.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`

	Kind    ProblemKind `json:"kind"`
	Message string      `json:"message"`
	// Suggestion is what was probably meant, if that can be guessed.
	Suggestion string `json:"suggestion,omitempty"`
}

// Error is the problem in one line: `12:7: process.arg: unknown property; did you mean "args"?`
func (p Problem) Error() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Suggestion != "" {
		fmt.Fprintf(&b, "; did you mean %q?", p.Suggestion)
	}
	return b.String()
}

// Unwrap is [errors.ErrUnsupported] for a refused property and nil otherwise.
func (p Problem) Unwrap() error {
	if p.Kind == KindUnsupported {
		return errors.ErrUnsupported
	}
	return nil
}

// Problems is everything that is wrong with one spec, in the order of the
// document. As an error it wraps each of its problems.
type Problems []Problem

// Error has one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.Is and errors.As each of the problems.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i := range p {
		errs[i] = p[i]
	}
	return errs
}

// maxProblems bounds what is collected and printed: a large file of the wrong
// sort has a problem for each of its lines.
const maxProblems = 100

// err is nil, or the sorted problems.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if len(p) > maxProblems {
		more := Problem{Kind: KindValue, Line: p[maxProblems].Line, Column: p[maxProblems].Column,
			Message: "there are more problems than these"}
		p = append(p[:maxProblems:maxProblems], more)
	}
	return p
}

// clip quotes a value from a document for a message: control characters are
// escaped, so that a spec cannot write to a terminal, and length is bounded.
func clip(s string) string {
	const most = 60 // characters, so that a problem stays one line
	if r := []rune(s[:min(len(s), 4*most)]); len(r) > most {
		return fmt.Sprintf("%q…", string(r[:most]))
	}
	return fmt.Sprintf("%q", s)
}
