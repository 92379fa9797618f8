package spec

import (
	"reflect"
	"strings"
)

// optionalHere says that a property without omitempty may be missing. Such a
// property is REQUIRED in OCI's text; pkshim takes lesser specs, and a
// Windows user has a name instead of numbers.
func optionalHere(at *place, name string, v reflect.Value) bool {
	switch path := member(at.String(), name); path {
	case "ociVersion", "process.user", "process.cwd":
		return true
	case "process.user.uid", "process.user.gid":
		return v.FieldByName("Username").String() != ""
	}
	return false
}

// properties lists the JSON names of a struct, those of embedded structs too.
func (d *decoder) properties(t reflect.Type) []property {
	if known, ok := d.types[t]; ok {
		return known
	}
	known := propertiesOf(t)
	d.types[t] = known
	return known
}

// propertiesOf is plainer than reflect.VisibleFields and much faster, which
// counts when a run of a program takes milliseconds. No name is hidden by another.
func propertiesOf(t reflect.Type) []property {
	known := make([]property, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			for _, p := range propertiesOf(f.Type) {
				known = append(known, property{p.name, append([]int{i}, p.index...), p.required})
			}
		} else if name, optional := jsonName(&f); name != "" {
			known = append(known, property{name, f.Index, !optional})
		}
	}
	return known
}

// jsonName reads a json tag.
func jsonName(f *reflect.StructField) (name string, optional bool) {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name, strings.Contains(options, "omitempty")
}

func find(known []property, name string) int {
	for i := range known {
		if known[i].name == name {
			return i
		}
	}
	return -1
}
