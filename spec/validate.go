package spec

import (
	"errors"
	"fmt"
	"strings"
)

// Validate checks the whole spec and returns all that is wrong with it as
// [Problems], what Decode found included, or nil. It looks at the spec alone:
// whether this host has what is asked for is the runtime's question.
//
// A spec that was decoded leniently is checked by OCI's rules: what OCI wants
// as a warning, and what every OCI runtime takes, is left to Warnings.
func (s *Spec) Validate() error {
	v := validator{spec: s}
	v.all()
	return append(s.broken[:len(s.broken):len(s.broken)], v.problems...).err()
}

// Warnings is what will be different from the letter of the spec without being
// a problem: permitted capabilities that the kernel takes away at execve, and
// in a leniently decoded spec also unknown capabilities and such as the kernel
// will not leave as they are, repeated environment variables (the last one
// counts), limits of 0 (which mean none), and limits that
// linux.resources.unified gives again (it counts).
func (s *Spec) Warnings() Problems {
	v := validator{spec: s}
	v.all()
	var sorted Problems
	errors.As(v.warnings.err(), &sorted)
	return sorted
}

// A validator collects what is wrong with one spec.
type validator struct {
	spec     *Spec
	problems Problems
	warnings Problems
}

func (v *validator) all() {
	v.version()
	v.process()
	v.annotations()
	if v.spec.Linux != nil {
		v.cgroupsPath(v.spec.Linux.CgroupsPath)
		v.resources()
	}
	v.refusals()
}

// add records a problem, unless it comes from a value that could not be
// decoded, where it would be a consequence and no news.
func (v *validator) add(path string, kind ProblemKind, suggestion, message string) {
	if kind == KindValue && v.undecoded(path) || len(v.problems) > maxProblems {
		return
	}
	line, column := locate(v.spec.source, path)
	v.problems = append(v.problems, Problem{Path: path, Line: line, Column: column,
		Kind: kind, Message: message, Suggestion: suggestion})
}

func (v *validator) bad(path, format string, args ...any) {
	v.add(path, KindValue, "", fmt.Sprintf(format, args...))
}

// soft is bad, but a warning where OCI does not want an error, or where its
// runtimes agree on what such a value means.
func (v *validator) soft(path, format string, args ...any) {
	if !v.spec.lenient {
		v.bad(path, format, args...)
		return
	}
	v.warn(path, format, args...)
}

func (v *validator) warn(path, format string, args ...any) {
	if len(v.warnings) > maxProblems {
		return
	}
	line, column := locate(v.spec.source, path)
	v.warnings = append(v.warnings, Problem{Path: path, Line: line, Column: column,
		Kind: KindValue, Message: fmt.Sprintf(format, args...)})
}

// undecoded says that decoding found something wrong at, in or around path.
func (v *validator) undecoded(path string) bool {
	for i := range v.spec.broken {
		p := &v.spec.broken[i]
		wrong := p.Kind == KindType || p.Kind == KindValue && p.Message != givenTwice
		if wrong && (within(path, p.Path) || within(p.Path, path)) {
			return true
		}
	}
	return false
}

// within says that path is outer or below it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// version checks ociVersion: "MUST be in SemVer v2.0.0 format", and within a
// major version any minor one is compatible (config.md).
func (v *validator) version() {
	version := v.spec.Version
	if version == "" {
		return
	}
	major, ok := semver(version)
	switch {
	case !ok:
		v.bad("ociVersion", "%s is not a version such as 1.3.0 (SemVer 2.0.0)", clip(version))
	case major != "1":
		v.add("ociVersion", KindUnsupported, "", fmt.Sprintf("refused: version %s; only major version 1 is known", clip(version)))
	}
}

// semver splits MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD], https://semver.org.
func semver(s string) (major string, ok bool) {
	s, build, hasBuild := strings.Cut(s, "+")
	s, pre, hasPre := strings.Cut(s, "-")
	numbers := strings.Split(s, ".")
	ok = len(numbers) == 3 && (!hasBuild || identifiers(build)) && (!hasPre || identifiers(pre))
	for _, n := range numbers {
		ok = ok && isNumber(n)
	}
	return numbers[0], ok
}

// identifiers checks dot-separated words of letters, digits and hyphens.
func identifiers(s string) bool {
	for word := range strings.SplitSeq(s, ".") {
		if word == "" || strings.ContainsFunc(word, func(r rune) bool { return !isAlnum(r) && r != '-' }) {
			return false
		}
	}
	return true
}

// isNumber says that s is a decimal number without leading zeros.
func isNumber(s string) bool {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// annotations: "Keys MUST NOT be an empty string" (config.md).
func (v *validator) annotations() {
	if _, ok := v.spec.Annotations[""]; ok {
		v.bad(member("annotations", ""), "the name of an annotation is empty")
	}
}
