package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// halfCharacter is the problem of a \ud800 without its other half.
const halfCharacter = `a \u escape is half of a surrogate pair, which is no character`

func (d *decoder) text(at *place, v reflect.Value) bool {
	start := d.pos
	s, valid := d.str()
	if !valid {
		d.problem(start, at, KindValue, "", halfCharacter)
	}
	v.SetString(s)
	return valid
}

// free decodes a value of any type; its numbers keep their digits.
func (d *decoder) free(v reflect.Value) bool {
	decoder := json.NewDecoder(bytes.NewReader(d.raw()))
	decoder.UseNumber()
	return decoder.Decode(v.Addr().Interface()) == nil
}

// number decodes an integer; runtime-spec has no other numbers.
func (d *decoder) number(at *place, v reflect.Value) bool {
	start := d.pos
	raw := string(d.raw())
	bits := v.Type().Bits()
	if v.CanInt() {
		if n, err := strconv.ParseInt(raw, 10, bits); err == nil {
			v.SetInt(n)
			return true
		}
	} else if n, err := strconv.ParseUint(raw, 10, bits); err == nil {
		v.SetUint(n)
		return true
	}
	low, high := "0", strconv.FormatUint(1<<bits-1, 10)
	if v.CanInt() {
		low, high = strconv.FormatInt(-1<<(bits-1), 10), strconv.FormatInt(1<<(bits-1)-1, 10)
	}
	what := "is out of range"
	if strings.ContainsAny(raw, ".eE") {
		what = "is not written as a whole number"
	}
	d.problem(start, at, KindValue, "", fmt.Sprintf("%s %s: a whole number from %s to %s", shorten(raw), what, low, high))
	return false
}

// shorten bounds a number in a message; it has no characters to escape.
func shorten(number string) string {
	if len(number) > 40 {
		return number[:40] + "…"
	}
	return number
}
