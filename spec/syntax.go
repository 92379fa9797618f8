package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth is the deepest nesting of arrays and objects in a document. OCI's
// own properties need 6 levels. The bound keeps recursion harmless.
const maxDepth = 64

// trimBOM drops a byte order mark: Windows editors write one, and RFC 8259
// section 8.1 lets a parser ignore it.
func trimBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF")) }

// checkSyntax returns the problem that makes data no JSON document, if any.
func checkSyntax(data []byte) error {
	at := func(offset int, format string, args ...any) error {
		line, column := position(data, offset)
		return Problems{{Kind: KindSyntax, Line: line, Column: column, Message: fmt.Sprintf(format, args...)}}
	}
	switch {
	case bytes.HasPrefix(data, []byte("\xFF\xFE")) || bytes.HasPrefix(data, []byte("\xFE\xFF")):
		return at(0, "the document is UTF-16; JSON is UTF-8")
	case len(bytes.TrimSpace(data)) == 0:
		return at(0, "the document is empty")
	}
	if i := invalidUTF8(data); i >= 0 {
		return at(i, "byte 0x%02x is not valid UTF-8", data[i])
	}
	if i := tooDeep(data); i >= 0 {
		return at(i, "nested deeper than the limit of %d levels", maxDepth)
	}
	var bad *json.SyntaxError
	if err := json.Unmarshal(data, new(anything)); errors.As(err, &bad) {
		offset := int(bad.Offset) - 1 // Offset counts the bytes read, the bad one included
		if offset < 0 || strings.HasPrefix(bad.Error(), "unexpected end") {
			return at(len(data), "%s", bad.Error())
		}
		return at(offset, "%s%s", bad.Error(), hint(data, offset))
	} else if err != nil {
		return at(0, "%s", err.Error())
	}
	return nil
}

// anything accepts every JSON value, so that json.Unmarshal checks the syntax
// and does no more.
type anything struct{}

func (*anything) UnmarshalJSON([]byte) error { return nil }

// hint explains two habits from other languages.
func hint(data []byte, offset int) string {
	before := bytes.TrimRight(data[:offset], " \t\r\n")
	switch c := data[offset]; {
	case (c == '}' || c == ']') && bytes.HasSuffix(before, []byte(",")):
		return " (JSON has no comma after the last element)"
	case c == '/' || c == '#':
		return " (JSON has no comments)"
	}
	return ""
}

// invalidUTF8 is the index of the first byte that is no UTF-8, or -1.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return -1
}

// tooDeep is the index of the bracket that exceeds maxDepth, or -1.
func tooDeep(data []byte) int {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = endOfString(data, i)
		case '{', '[':
			if depth++; depth > maxDepth {
				return i
			}
		case '}', ']':
			depth--
		}
	}
	return -1
}
