package spec

import (
	"fmt"
	"reflect"
)

// decode is Decode on data that the Spec may keep.
func decode(data []byte, strict bool) (*Spec, error) {
	data = trimBOM(data)
	if err := checkSyntax(data); err != nil {
		return nil, err
	}
	s := &Spec{InheritUser: true, source: data, lenient: !strict}
	d := &decoder{scanner: scanner{data: data}, spec: s, strict: strict, types: map[reflect.Type][]property{}}
	if d.peek() != '{' {
		d.problem(d.pos, nil, KindType, "", "a spec is a JSON object, not "+kindOf(d.peek()))
		return nil, d.problems.err()
	}
	d.value(nil, reflect.ValueOf(&s.Spec).Elem())
	if s.Process == nil {
		s.InheritUser = true
	}
	err := d.problems.err()
	s.broken = d.problems
	return s, err
}

// A decoder fills Go values by reflection over the json tags of runtime-spec,
// so that the Go types are the only list of what is known. It differs from
// encoding/json in that it goes on after a problem and knows where it is.
type decoder struct {
	scanner
	spec     *Spec
	strict   bool
	types    map[reflect.Type][]property
	problems Problems
}

// A property is one JSON name of a struct.
type property struct {
	name     string
	index    []int
	required bool
}

// A place is where the walk is; its path is spelled out only for a problem.
type place struct {
	up    *place
	name  string
	index int // -1 for a named member
}

func (p *place) String() string {
	switch {
	case p == nil:
		return ""
	case p.index >= 0:
		return item(p.up.String(), p.index)
	}
	return member(p.up.String(), p.name)
}

func (d *decoder) problem(offset int, at *place, kind ProblemKind, suggestion, message string) {
	if d.full() {
		return
	}
	line, column := position(d.data, offset)
	d.problems = append(d.problems, Problem{Path: at.String(), Line: line, Column: column,
		Kind: kind, Message: message, Suggestion: suggestion})
}

// full: there are more problems than will be shown.
func (d *decoder) full() bool { return len(d.problems) > maxProblems }

// value decodes the next value into v and reports whether there was one that
// fits. A null leaves v as it is.
func (d *decoder) value(at *place, v reflect.Value) bool {
	c := d.peek()
	if c == 'n' {
		d.raw()
		return false
	}
	switch v.Kind() {
	case reflect.Pointer:
		target := reflect.New(v.Type().Elem())
		if !d.value(at, target.Elem()) {
			return false
		}
		v.Set(target)
		return true
	case reflect.Struct:
		return d.expect(at, '{', c) && d.object(at, v)
	case reflect.Map:
		return d.expect(at, '{', c) && d.table(at, v)
	case reflect.Slice:
		return d.expect(at, '[', c) && d.list(at, v)
	case reflect.String:
		return d.expect(at, '"', c) && d.text(at, v)
	case reflect.Bool:
		if !d.expect(at, 't', c) {
			return false
		}
		v.SetBool(string(d.raw()) == "true")
		return true
	case reflect.Interface: // windows.credentialSpec, any JSON
		return d.free(v)
	}
	return d.expect(at, '0', c) && d.number(at, v)
}

// expect checks that the value that begins with c is of the kind that begins
// with want, and skips a value of another kind.
func (d *decoder) expect(at *place, want, c byte) bool {
	if kindOf(want) == kindOf(c) {
		return true
	}
	start := d.pos
	d.raw()
	d.problem(start, at, KindType, "", fmt.Sprintf("must be %s, not %s", kindOf(want), kindOf(c)))
	return false
}

// kindOf names the JSON type of a value by its first byte.
func kindOf(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

// object decodes the members of an object into a struct.
func (d *decoder) object(at *place, v reflect.Value) bool {
	known := d.properties(v.Type())
	start := d.pos
	if at != nil && at.up == nil && at.name == "process" {
		d.spec.InheritUser = true // of an earlier process nothing is left
	}
	seen, given := make([]bool, len(known)), make([]bool, len(known))
	d.pos++
	for d.peek() != '}' {
		key := d.pos
		name, _ := d.str()
		here := &place{at, name, -1}
		i := find(known, name)
		if i < 0 {
			if d.strict && !d.full() { // suggesting takes time
				d.problem(key, here, KindUnknown, suggest(at.String(), name, known), "unknown property")
			}
			d.raw()
			continue
		}
		field := v.FieldByIndex(known[i].index)
		if seen[i] {
			d.repeated(key, here)
			field.SetZero()
		}
		before := len(d.problems)
		seen[i] = true
		ok := d.value(here, field)
		given[i] = ok || len(d.problems) > before // a bad value is not a missing one
		d.noteProcess(key, here, ok, given[i], field)
	}
	d.pos++
	for i := range known {
		if known[i].required && !given[i] && !optionalHere(at, known[i].name, v) {
			d.problem(start, &place{at, known[i].name, -1}, KindValue, "", "missing: OCI requires it here")
		}
	}
	return true
}

// givenTwice is the one problem of a value that decodes well.
const givenTwice = "given twice"

// repeated reports a property that is there twice. RFC 8259 section 4 leaves
// open which one counts, so a strict reader takes neither on trust.
func (d *decoder) repeated(offset int, at *place) {
	if d.strict {
		d.problem(offset, at, KindValue, "", givenTwice)
	}
}

// noteProcess keeps what the zero value of specs.Process cannot say: that a
// user was given, and that a cwd was given and is empty.
func (d *decoder) noteProcess(offset int, at *place, ok, given bool, v reflect.Value) {
	if at.up == nil || at.up.up != nil || at.up.name != "process" {
		return
	}
	switch at.name {
	case "user":
		d.spec.InheritUser = !given
	case "cwd":
		if ok && v.String() == "" {
			d.problem(offset, at, KindValue, "", "empty; leave it out for the caller's own directory")
		}
	}
}

// table decodes an object whose names are free into a map.
func (d *decoder) table(at *place, v reflect.Value) bool {
	v.Set(reflect.MakeMap(v.Type()))
	d.pos++
	for d.peek() != '}' {
		key := d.pos
		name, valid := d.str()
		here := &place{at, name, -1}
		if !valid {
			d.problem(key, here, KindValue, "", halfCharacter)
		}
		k := reflect.ValueOf(name).Convert(v.Type().Key())
		if v.MapIndex(k).IsValid() {
			d.repeated(key, here)
		}
		element := reflect.New(v.Type().Elem()).Elem()
		if !d.value(here, element) {
			element = reflect.Value{} // which deletes: the last of repeated names counts
		}
		v.SetMapIndex(k, element)
	}
	d.pos++
	return true
}

// list decodes an array. A null in it is a problem: in a list nothing can be absent.
func (d *decoder) list(at *place, v reflect.Value) bool {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	d.pos++
	for i := 0; d.peek() != ']'; i++ {
		here := &place{at, "", i}
		if d.peek() == 'n' {
			d.problem(d.pos, here, KindType, "", "null in an array")
		}
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(here, element) // appended in any case, so that later items keep their index
		v.Set(reflect.Append(v, element))
	}
	d.pos++
	return true
}
