package spec

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "rewrite generated files")

// paths lists every property of a type as the table of fields spells it.
func paths(prefix string, t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Pointer:
		return paths(prefix, t.Elem())
	case reflect.Slice:
		return paths(prefix+"[]", t.Elem())
	case reflect.Map:
		return paths(prefix+".*", t.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	var all []string
	for _, p := range propertiesOf(t) {
		path := joined(prefix, p.name)
		all = append(all, path)
		all = append(all, paths(path, t.FieldByIndex(p.index).Type)...)
	}
	return all
}

// Every property of runtime-spec is classified, once, and nothing else is.
func TestFieldsAreComplete(t *testing.T) {
	count := map[string]int{}
	for _, f := range Fields() {
		count[f.Path]++
		switch f.Class {
		case Refused, Ignorable:
			if f.Note == "" {
				t.Errorf("%s is %s without a reason", f.Path, f.Class)
			}
		case Supported:
		default:
			t.Errorf("%s has class %q", f.Path, f.Class)
		}
	}
	for _, path := range paths("", reflect.TypeFor[specs.Spec]()) {
		if count[path] != 1 {
			t.Errorf("%s has %d rows", path, count[path])
		}
		delete(count, path)
	}
	for path := range count {
		t.Errorf("%s is no property of runtime-spec", path)
	}
}

// Each refused property, set to something, is refused by name.
func TestRefusals(t *testing.T) {
	for i := range table {
		row := &table[i]
		if row.class != Refused {
			continue
		}
		s := New([]string{"a"})
		s.InheritUser = false
		fill(reflect.ValueOf(&s.Spec).Elem(), row.path)
		got := text(s.Validate())
		want := strings.ReplaceAll(row.path, "[]", "[0]") + ": refused: " + row.note
		if row.path == "linux.resources.memory.useHierarchy" {
			want = ""
		}
		if !strings.Contains(got, want) {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	}
}

// fill sets the property at a path, and what is on the way, to something.
func fill(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		fill(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), strings.TrimPrefix(path, "[]"))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("k"), reflect.New(v.Type().Elem()).Elem())
	case reflect.Struct:
		name, rest, _ := strings.Cut(strings.TrimPrefix(path, "."), ".")
		name, brackets, isList := strings.Cut(name, "[]")
		if isList {
			rest = "[]" + brackets + "." + rest
		}
		known := propertiesOf(v.Type())
		if i := max(0, find(known, name)); len(known) > 0 {
			fill(v.FieldByIndex(known[i].index), rest)
		}
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Interface:
		v.Set(reflect.ValueOf("x"))
	default:
		v.Set(reflect.ValueOf(1).Convert(v.Type()))
	}
}

// Values that ask for nothing are not refused.
func TestEmptyIsNotRefused(t *testing.T) {
	const doc = `{"ociVersion":"1.0.2","process":{"args":["a"],"terminal":false,"consoleSize":{"width":80,"height":25},"apparmorProfile":""},
		"root":{"path":""},"mounts":[],"hostname":"","hooks":{"prestart":[]},
		"linux":{"namespaces":[],"uidMappings":[],"sysctl":{},"maskedPaths":[],"seccomp":null,
			"resources":{"devices":[],"network":{},
				"memory":{"disableOOMKiller":false,"useHierarchy":true,"kernel":-1,"kernelTCP":0,"checkBeforeUpdate":true},
				"cpu":{"realtimeRuntime":0,"realtimePeriod":0}, "blockIO":{"leafWeight":0,"weight":0}}},
		"windows":{"layerFolders":[]},"solaris":{},"zos":{},"freebsd":{}}`
	s, err := Decode([]byte(doc), true)
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		t.Error(err)
	}
}

// FIELDS.md is the table for readers; go test -update rewrites it.
func TestFieldsDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("# What becomes of each property of a spec\n\n" +
		"Made from the table in fields.go by `go generate`; do not edit.\n" +
		"The properties are those of runtime-spec " + specs.Version + ", of all platforms. A refused property is an error where it asks\n" +
		"for something; an empty value does not. `[]` stands for every item of an array, `*` for every name of a map.\n")
	for _, class := range []Class{Supported, Ignorable, Refused} {
		fmt.Fprintf(&b, "\n## %s\n\n| property | |\n|---|---|\n", strings.ToUpper(string(class[0]))+string(class[1:]))
		for _, f := range Fields() {
			if f.Class == class {
				fmt.Fprintf(&b, "| `%s` | %s |\n", f.Path, f.Note)
			}
		}
	}
	const name = "FIELDS.md"
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil || strings.ReplaceAll(string(got), "\r\n", "\n") != b.String() {
		t.Errorf("%s is stale (%v); run go generate ./spec", name, err)
	}
}
