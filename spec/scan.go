package spec

import (
	"bytes"
	"encoding/json"
	"strings"
)

// A scanner walks a document that checkSyntax has accepted: it looks only for
// where values begin and end.
type scanner struct {
	data []byte
	pos  int
}

// peek skips white space and returns the byte that begins the next token.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n', ',', ':': // separators tell a walk nothing that a valid document does not
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// str reads a string. Valid is false if it holds half of a surrogate pair,
// which is no character; Go would silently make it U+FFFD.
func (s *scanner) str() (text string, valid bool) {
	raw := s.raw()
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", false
	}
	const replacement = "\uFFFD"
	if n := strings.Count(text, replacement); n > 0 {
		n -= bytes.Count(raw, []byte(replacement)) + bytes.Count(bytes.ToLower(raw), []byte(`\ufffd`))
		return text, n <= 0
	}
	return text, true
}

// raw reads one value, whole, and returns its text.
func (s *scanner) raw() []byte {
	c, start, depth := s.peek(), s.pos, 0
	if c != '"' && c != '{' && c != '[' { // a number or a word
		for s.pos < len(s.data) && bytes.IndexByte([]byte(" \t\r\n,:]}"), s.data[s.pos]) < 0 {
			s.pos++
		}
		return s.data[start:s.pos]
	}
	for ; s.pos < len(s.data); s.pos++ {
		switch s.data[s.pos] {
		case '"':
			s.pos = endOfString(s.data, s.pos)
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if depth == 0 {
			s.pos++
			break
		}
	}
	return s.data[start:min(s.pos, len(s.data))]
}

// endOfString is the index of the quotation mark that ends the string which
// begins at start, or the last index if none does.
func endOfString(data []byte, start int) int {
	for i := start + 1; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(data) - 1
}
