package spec

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func lines(s ...string) string { return strings.Join(s, "\n") }

// text is an error's, or nothing.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDecodeProblems(t *testing.T) {
	tests := []struct{ name, doc, want string }{
		{"nothing wrong", `{"process":{"args":["a"]}}`, ""},
		{"null is absent", `{"process":{"args":["a"],"env":null,"rlimits":null},"linux":null,"hostname":null}`, ""},
		{"byte order mark", "\xEF\xBB\xBF{\"a\":1}", `1:2: a: unknown property`},

		{"empty", ``, `1:1: the document is empty`},
		{"blank", " \n ", `1:1: the document is empty`},
		{"UTF-16", "\xFF\xFE{\x00}\x00", `1:1: the document is UTF-16; JSON is UTF-8`},
		{"not UTF-8", "{\n\"a\xFF\":1}", `2:3: byte 0xff is not valid UTF-8`},
		{"cut off", "{\n \"process\": {", `2:14: unexpected end of JSON input`},
		{"trailing comma", `{"process":{"args":["a"],}}`,
			`1:26: invalid character '}' looking for beginning of object key string (JSON has no comma after the last element)`},
		{"comment", "{\n// x\n}", `2:1: invalid character '/' looking for beginning of object key string (JSON has no comments)`},
		{"trailing data", "{}\n{}", `2:1: invalid character '{' after top-level value`},
		{"NUL byte", "{\"a\x00\":1}", `1:4: invalid character '\x00' in string literal`},

		{"array", ` []`, `1:2: a spec is a JSON object, not an array`},
		{"null", `null`, `1:1: a spec is a JSON object, not null`},
		{"string", `"x"`, `1:1: a spec is a JSON object, not a string`},

		{"all of them", "{\r\n \"é\": 1, \"prócess\": {},\r\n\t\"process\": {\"args\": [\"ä\", null, 3], \"arg\": 1}\r\n}", lines(
			`2:2: ["é"]: unknown property`,
			`2:10: ["prócess"]: unknown property; did you mean "process"?`,
			`3:28: process.args[1]: null in an array`,
			`3:34: process.args[2]: must be a string, not a number`,
			`3:38: process.arg: unknown property; did you mean "args"?`)},
		{"wrong types", `{"process":{"args":"a","env":{},"cwd":1,"noNewPrivileges":"yes","rlimits":[1],"user":[]}}`, lines(
			`1:20: process.args: must be an array, not a string`,
			`1:30: process.env: must be an array, not an object`,
			`1:39: process.cwd: must be a string, not a number`,
			`1:59: process.noNewPrivileges: must be true or false, not a string`,
			`1:76: process.rlimits[0]: must be an object, not a number`,
			`1:86: process.user: must be an object, not an array`)},
		{"numbers", `{"process":{"user":{"uid":-1,"gid":4294967296,"umask":1.5},"oomScoreAdj":1e3},
"linux":{"resources":{"memory":{"limit":9223372036854775808},"cpu":{"shares":-1},"blockIO":{"weight":65536}}}}`, lines(
			`1:27: process.user.uid: -1 is out of range: a whole number from 0 to 4294967295`,
			`1:36: process.user.gid: 4294967296 is out of range: a whole number from 0 to 4294967295`,
			`1:55: process.user.umask: 1.5 is not written as a whole number: a whole number from 0 to 4294967295`,
			fmt.Sprintf(`1:74: process.oomScoreAdj: 1e3 is not written as a whole number: a whole number from %d to %d`, -1<<(intSize-1), 1<<(intSize-1)-1),
			`2:41: linux.resources.memory.limit: 9223372036854775808 is out of range: a whole number from -9223372036854775808 to 9223372036854775807`,
			`2:78: linux.resources.cpu.shares: -1 is out of range: a whole number from 0 to 18446744073709551615`,
			`2:102: linux.resources.blockIO.weight: 65536 is out of range: a whole number from 0 to 65535`)},
		{"a long number", `{"process":{"user":{"uid":` + strings.Repeat("9", 1000) + `,"gid":0}}}`,
			`1:27: process.user.uid: ` + strings.Repeat("9", 40) + `… is out of range: a whole number from 0 to 4294967295`},
		{"required", `{"process":{"rlimits":[{"type":"RLIMIT_CORE","hard":1}],"user":{"umask":18},"ioPriority":{}}}`, lines(
			`1:24: process.rlimits[0].soft: missing: OCI requires it here`,
			`1:64: process.user.uid: missing: OCI requires it here`,
			`1:64: process.user.gid: missing: OCI requires it here`,
			`1:90: process.ioPriority.class: missing: OCI requires it here`,
			`1:90: process.ioPriority.priority: missing: OCI requires it here`)},
		{"a Windows user", `{"process":{"user":{"username":"u"}}}`, ``},
		{"embedded struct", `{"linux":{"resources":{"blockIO":{"throttleReadBpsDevice":[{"major":1,"rate":1}]}}}}`,
			`1:60: linux.resources.blockIO.throttleReadBpsDevice[0].minor: missing: OCI requires it here`},
		{"given twice", `{"process":{"args":["a"],"args":["b"]},"annotations":{"k":"1","k":"2"}}`, lines(
			`1:26: process.args: given twice`,
			`1:63: annotations.k: given twice`)},
		{"empty cwd", `{"process":{"cwd":""}}`, `1:13: process.cwd: empty; leave it out for the caller's own directory`},
		{"half a character", `{"process":{"args":["\ud800","\ufffd","\ud83d\ude00"]}}`,
			`1:21: process.args[0]: a \u escape is half of a surrogate pair, which is no character`},
		{"names are quoted", `{"annotations":{"a.b\u001b[1m":1}}`, `1:32: annotations["a.b\x1b[1m"]: must be a string, not a number`},
		{"case matters", `{"Process":{}}`, `1:2: Process: unknown property; did you mean "process"?`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode([]byte(tt.doc), true)
			if got := text(err); got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

const intSize = 32 << (^uint(0) >> 63)

func TestSuggestions(t *testing.T) {
	tests := []struct{ doc, want string }{
		{`{"process":{"arg":1}}`, "args"},
		{`{"process":{"command":1}}`, "args"},
		{`{"process":{"working_dir":1}}`, "cwd"},
		{`{"process":{"environment":1}}`, "env"},
		{`{"process":{"capabilites":1}}`, "capabilities"},
		{`{"process":{"oomscoreadj":1}}`, "oomScoreAdj"},
		{`{"proccess":1}`, "process"},
		{`{"memory":1}`, "linux.resources.memory"},
		{`{"linux":{"memory":1}}`, "linux.resources.memory"},
		{`{"args":1}`, "process.args"},
		{`{"linux":{"resources":{"quota":1}}}`, "linux.resources.cpu.quota"},
		{`{"linux":{"resources":{"limit":1}}}`, ""}, // memory's or pids'
		{`{"xyzzy":1}`, ""},
		{`{"` + strings.Repeat("a", 100_000) + `":1}`, ""},
	}
	for _, tt := range tests {
		_, err := Decode([]byte(tt.doc), true)
		var problems Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Suggestion != tt.want {
			t.Errorf("%.60s: %.200v, want suggestion %q", tt.doc, err, tt.want)
		}
	}
}

// Without strict, OCI's extensibility holds and only what cannot be decoded is a problem.
func TestDecodeLenient(t *testing.T) {
	s, err := Decode([]byte(`{"x":{"y":[{}]},"process":{"args":["a"],"user":{"uid":1,"gid":1}},
		"process":{"args":["b"],"z":null}, "annotations":{"k":"1","k":"2","l":"3","l":null}}`), false)
	if err != nil {
		t.Fatal(err)
	}
	if got := encode(t, s); strings.Join(strings.Fields(got), "") != `{"process":{"args":["b"]},"annotations":{"k":"2"}}` {
		t.Errorf("the last of repeated properties does not count: %s", got)
	}
	if !s.InheritUser {
		t.Error("the user of a replaced process is left")
	}
	if _, err := Decode([]byte(`{"process":{"args":"a"}}`), false); err == nil {
		t.Error("a wrong type is accepted")
	}
}

func TestHostileDocuments(t *testing.T) {
	nested := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	tests := []struct{ name, doc, want string }{
		{"at the limit", `{"x":` + nested(maxDepth-1) + `}`, `1:2: x: unknown property`},
		{"above it", `{"x":` + nested(maxDepth) + `}`, `1:69: nested deeper than the limit of 64 levels`},
		{"far above it", strings.Repeat(`{"a":`, 3_000_000), `1:321: nested deeper than the limit of 64 levels`},
		{"an open string", `{"` + strings.Repeat("a", 10_000_000), `1:10000003: unexpected end of JSON input`},
		{"in a value", `{"process":{"args":` + nested(1_000_000) + `}}`, `1:82: nested deeper than the limit of 64 levels`},
	}
	for _, tt := range tests {
		start := time.Now()
		_, err := Decode([]byte(tt.doc), true)
		if text(err) != tt.want {
			t.Errorf("%s: %.200v, want %s", tt.name, err, tt.want)
		}
		if took := time.Since(start); took > 10*time.Second { // a hang, not a benchmark
			t.Errorf("%s took %v", tt.name, took)
		}
	}
}

// Of very many problems the first are shown, in bounded memory.
func TestManyProblems(t *testing.T) {
	doc := `{` + strings.Repeat(`"x":1,`, 500_000) + `"y":1}`
	s, err := Decode([]byte(doc), true)
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != maxProblems+1 {
		t.Fatalf("%d problems", len(problems))
	}
	if got := problems[maxProblems].Message; got != "there are more problems than these" {
		t.Errorf("the last one is %q", got)
	}
	if err := s.Validate(); !errors.As(err, &problems) || len(problems) != maxProblems+1 {
		t.Errorf("%d problems after Validate", len(problems))
	}
	args := `{"process":{"args":["a"` + strings.Repeat(`,"\u0000"`, 500_000) + `]}}`
	s, err = Decode([]byte(args), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); !errors.As(err, &problems) || len(problems) != maxProblems+1 {
		t.Errorf("%d problems of arguments", len(problems))
	}
}

// The data that was decoded stays the caller's.
func TestDecodeKeepsNothing(t *testing.T) {
	doc := []byte(`{"process":{"args":["a"],"cwd":"b"}}`)
	s, err := Decode(doc, true)
	if err != nil {
		t.Fatal(err)
	}
	clear(doc)
	if got, want := text(s.Validate()), `1:32: process.cwd: "b" is not an absolute path`; got != want {
		t.Errorf("Validate = %s, want %s", got, want)
	}
}

func TestLocate(t *testing.T) {
	const doc = "{\n \"a.b\": {\"c\": [1, {\"\": \"x\"}]},\n \"d\": 1, \"d\": 2\n}"
	tests := []struct{ path, want string }{
		{"", "1:1"}, {`["a.b"]`, "2:9"}, {`["a.b"].c`, "2:15"}, {`["a.b"].c[0]`, "2:16"}, {`["a.b"].c[1]`, "2:19"},
		{`["a.b"].c[1][""]`, "2:24"}, {`["a.b"].c[1].no`, "2:19"}, {`["a.b"].c[2]`, "2:15"}, {"d", "3:15"}, {"d[0]", "3:15"},
		{"[", "1:1"}, {"[x]", "1:1"}, {`["`, "1:1"}, {"a..b", "1:1"},
	}
	for _, tt := range tests {
		line, column := locate([]byte(doc), tt.path)
		if got := fmt.Sprintf("%d:%d", line, column); got != tt.want {
			t.Errorf("locate(%s) = %s, want %s", tt.path, got, tt.want)
		}
	}
}

func TestProblemsUnwrap(t *testing.T) {
	s, _ := Decode([]byte(`{"process":{"args":["a"],"cwd":"x"},"hostname":"h"}`), true)
	err := fmt.Errorf("run: %w", s.Validate())
	var problem Problem
	if !errors.As(err, &problem) || problem.Path != "process.cwd" || problem.Line != 1 || problem.Column != 32 {
		t.Errorf("the first problem is %+v", problem)
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v does not wrap ErrUnsupported", err)
	}
	s, _ = Decode([]byte(`{"process":{"args":["a"],"cwd":"x"}}`), true)
	if err := s.Validate(); errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v wraps ErrUnsupported", err)
	}
}
