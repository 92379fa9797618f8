package spec

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// position is the line and column of an offset, both from 1.
func position(data []byte, offset int) (line, column int) {
	before := data[:min(offset, len(data))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[start:]) + 1
}

// locate is the line and column of the value at a path, or of the nearest
// thing around it that the document has; 0, 0 without a document.
func locate(data []byte, path string) (line, column int) {
	if len(data) == 0 {
		return 0, 0
	}
	s := scanner{data: data}
	s.peek()
	start := s.pos
	for name, index, rest := step(path); s.enter(name, index); name, index, rest = step(rest) {
		s.peek()
		start = s.pos
	}
	return position(data, start)
}

// enter moves into the object or array that comes next, to the value of one
// member. It is false if there is no such member.
func (s *scanner) enter(name string, index int) bool {
	open := s.peek()
	if open != '{' && open != '[' || (open == '{') != (index == -1) || index < -1 {
		return false
	}
	found := -1
	s.pos++
	for i := 0; s.peek() != '}' && s.peek() != ']'; i++ {
		if open == '{' {
			if key, _ := s.str(); key == name {
				s.peek()
				found = s.pos // no break: of repeated names the last one counts
			}
		} else if i == index {
			return true
		}
		s.raw()
	}
	if found < 0 {
		return false
	}
	s.pos = found
	return true
}

// step splits the first member off a path: a name with index -1, or an index.
// At the end of the path the index is -2, which enter never finds.
func step(path string) (name string, index int, rest string) {
	path = strings.TrimPrefix(path, ".")
	if path == "" {
		return "", -2, ""
	}
	if path[0] != '[' {
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		return path[:end], -1, path[end:]
	}
	if quoted, err := strconv.QuotedPrefix(path[1:]); err == nil {
		name, _ = strconv.Unquote(quoted)
		return name, -1, strings.TrimPrefix(path[1+len(quoted):], "]")
	}
	number, rest, _ := strings.Cut(path[1:], "]")
	index, err := strconv.Atoi(number)
	if err != nil {
		return "", -2, ""
	}
	return "", index, rest
}

// member is the path of a named member, item of an array's.
func member(path, name string) string {
	if !isWord(name) {
		return path + "[" + strconv.Quote(name) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func item(path string, index int) string { return path + "[" + strconv.Itoa(index) + "]" }

func isWord(s string) bool {
	for _, r := range s {
		if !isAlnum(r) && r != '_' {
			return false
		}
	}
	return s != ""
}
