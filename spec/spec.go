package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// A Spec is an OCI configuration, whole or in part: `{"process":{"args":["make"]}}`
// is a whole spec.
type Spec struct {
	specs.Spec

	// InheritUser says that process.user was absent: the workload keeps the
	// caller's credentials. It is a field because specs.Process.User is no pointer
	// and its zero value is root.
	InheritUser bool `json:"-"`

	source  []byte   // the document, for positions; nil if there was none
	broken  Problems // what was wrong while decoding
	lenient bool     // decoded by OCI's rules: what OCI wants as a warning is none of Validate's business
}

// MaxSize is the size in bytes of the largest document that is read. The
// largest real configurations are some hundred kilobytes.
const MaxSize = 16 << 20

// New is the spec of a command line: the program is looked up in a plain PATH,
// and user and working directory are the caller's own.
func New(args []string) *Spec {
	return &Spec{
		InheritUser: true,
		Spec: specs.Spec{
			Version: specs.Version,
			Process: &specs.Process{
				Args: args,
				Env:  []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			},
		},
	}
}

// Decode decodes a JSON document. A strict decode has a problem with unknown
// and repeated properties; otherwise unknown ones are ignored, as OCI demands
// (config.md, Extensibility), and the last of repeated ones is taken.
// A null is as good as absent.
//
// The error is [Problems]. The Spec is nil only if the document is not JSON or
// no object: else it holds what could be decoded, so that Validate can add
// what else is wrong with it.
func Decode(data []byte, strict bool) (*Spec, error) {
	return decode(bytes.Clone(data), strict)
}

// Read decodes a document of at most [MaxSize] bytes, as Decode does.
func Read(r io.Reader, strict bool) (*Spec, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read spec: %w", err)
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("read spec: larger than the limit of %d MiB", MaxSize>>20)
	}
	return decode(data, strict)
}

// Load decodes the file at path, as Decode does. Problems of the document are
// not wrapped; every other error names the path.
func Load(path string, strict bool) (*Spec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load spec: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("load spec: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("load spec %s: it is a directory; name the config.json in it", path)
	}
	s, err := Read(f, strict)
	if problems := (Problems)(nil); err != nil && !errors.As(err, &problems) {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	return s, err
}

// Encode writes the spec as indented JSON which Decode reads back. The user is
// left out under InheritUser, and so is an empty version or cwd.
func (s *Spec) Encode(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // a shell's && and > stay legible
	e.SetIndent("", "  ")
	if err := e.Encode(s.document()); err != nil {
		return fmt.Errorf("encode spec: %w", err)
	}
	return nil
}

// MarshalJSON is the JSON that Encode writes. Its receiver is a value because a
// Spec that is encoded without it would turn an inherited user into root.
func (s Spec) MarshalJSON() ([]byte, error) { return json.Marshal(s.document()) }

// UnmarshalJSON is a Decode that is not strict.
func (s *Spec) UnmarshalJSON(data []byte) error {
	d, err := Decode(data, false)
	if err != nil {
		return err
	}
	*s = *d
	return nil
}

// document is a Spec in JSON: the fields here hide those of the embedded OCI
// type of the same name, which have no omitempty.
type document struct {
	Version string   `json:"ociVersion,omitempty"`
	Process *process `json:"process,omitempty"`
	*specs.Spec
}

// process is a specs.Process in JSON, with what people look for first.
type process struct {
	User *specs.User `json:"user,omitempty"`
	Args []string    `json:"args,omitempty"`
	Env  []string    `json:"env,omitempty"`
	Cwd  string      `json:"cwd,omitempty"`
	*specs.Process
}

func (s *Spec) document() *document {
	d := &document{Version: s.Version, Spec: &s.Spec}
	if p := s.Process; p != nil {
		d.Process = &process{Args: p.Args, Env: p.Env, Cwd: p.Cwd, Process: p}
		if !s.InheritUser {
			d.Process.User = &p.User
		}
	}
	return d
}
