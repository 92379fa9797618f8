package spec

import "reflect"

// refusals reports every property that asks for something and whose row in
// the table of fields is Refused.
func (v *validator) refusals() {
	v.refuse("", "", reflect.ValueOf(&v.spec.Spec).Elem())
}

// refuse looks at the properties of a struct. The pattern is the path as the
// table spells it.
func (v *validator) refuse(path, pattern string, s reflect.Value) {
	for i := range s.NumField() {
		value := s.Field(i)
		if value.IsZero() {
			continue // most of a spec, so this is what makes it fast
		}
		f := s.Type().Field(i)
		if f.Anonymous {
			v.refuse(path, pattern, value)
			continue
		}
		name, _ := jsonName(&f)
		here, row := member(path, name), lookup(joined(pattern, name))
		switch {
		case row == nil: // below a row: of that row's class, which was supported
		case row.class == Refused && asks(row.path, value):
			v.add(here, KindUnsupported, "", "refused: "+row.note)
		case row.class == Supported:
			v.inside(here, row.path, value)
		}
	}
}

// inside looks for refused properties in the value of a supported one.
func (v *validator) inside(path, pattern string, value reflect.Value) {
	switch value.Kind() {
	case reflect.Pointer:
		v.inside(path, pattern, value.Elem())
	case reflect.Struct:
		v.refuse(path, pattern, value)
	case reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Struct {
			for i := range value.Len() {
				v.refuse(item(path, i), pattern+"[]", value.Index(i))
			}
		}
	}
}

func joined(pattern, name string) string {
	if pattern == "" {
		return name
	}
	return pattern + "." + name
}

// asks says whether a value of a refused property asks for anything. An empty
// one does not, and neither does one that cgroup v2 fulfils anyway.
func asks(path string, value reflect.Value) bool {
	switch path {
	case "linux.resources.memory.kernel", "linux.resources.memory.kernelTCP":
		return value.Elem().Int() > 0 // -1 is unlimited
	case "linux.resources.memory.useHierarchy":
		return !value.Elem().Bool()
	case "linux.resources.memory.swappiness":
		return true // 0 asks for no swapping
	}
	return !empty(value)
}

// empty says whether a value holds nothing but zeros.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return v.IsNil() || empty(v.Elem())
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Struct:
		for i := range v.NumField() {
			if !empty(v.Field(i)) {
				return false
			}
		}
		return true
	}
	return v.IsZero()
}
