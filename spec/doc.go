// Package spec holds the documents that cross pkshim's border: the [Spec] that
// comes in and the [Report] that goes out, with the values they are made of.
//
// The package is pure. It parses, checks and describes, and makes no system
// call, so all of it behaves the same on every operating system. What OCI
// defines comes from [github.com/opencontainers/runtime-spec/specs-go]; only
// what OCI lacks is defined here.
//
// Two rules hold for every number in a report: a number that was not measured
// is absent (null), never zero, and an exit that nobody saw is
// [ReasonUnknown], never success.
package spec
