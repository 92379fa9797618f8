package runtime

import (
	"errors"

	"github.com/pkshim/pkshim/cgroups"
	"github.com/pkshim/pkshim/spec"
)

// Check finds what is wrong with a valid spec's limits beyond the form that
// spec.Spec.Validate checks: values that no cgroup can have, such as less than
// a page of memory or text that a unified file does not take. The host is not
// asked.
func Check(s *spec.Spec) spec.Problems {
	if s.Linux == nil {
		return nil
	}
	const page = 4096 // the smallest of all: what is less is wrong everywhere
	var problems spec.Problems
	_, err := cgroups.Settings(s.Linux.Resources, page)
	for _, e := range flatten(err) {
		var l *cgroups.LimitError
		if errors.As(e, &l) {
			problems = append(problems, spec.Problem{Path: l.Field, Kind: spec.KindValue, Message: l.Err.Error()})
		}
	}
	if _, err := cgroups.ParsePath(s.Linux.CgroupsPath); err != nil {
		problems = append(problems, spec.Problem{Path: "linux.cgroupsPath", Kind: spec.KindValue, Message: err.Error()})
	}
	return problems
}

// flatten lists the errors that errors.Join joined.
func flatten(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
