// Package spec holds the documents that cross pkshim's border: the [Spec] that
// comes in and the [Report] that goes out, with the values they are made of.
//
// The package is pure. It parses, checks and describes, and but for the reading
// of a file in [Load] makes no system call, so all of it behaves the same on
// every operating system. What OCI defines comes from
// [github.com/opencontainers/runtime-spec/specs-go]; only what OCI lacks is
// defined here.
//
// A spec is decoded and validated apart, and each step lists all that is wrong
// as [Problems], with path, line and column. Every property of runtime-spec is
// classified in one table, [Fields]: supported, refused, or ignorable by OCI's
// own word. A strict decode, for people, has a problem with unknown
// properties; a lenient one, for OCI's callers, follows OCI's rules.
//
// Two rules hold for every number in a report: a number that was not measured
// is absent (null), never zero, and an exit that nobody saw is
// [ReasonUnknown], never success.
package spec
