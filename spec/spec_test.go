package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	s := New([]string{"make", "-j8"})
	if err := s.Validate(); err != nil {
		t.Errorf("Validate: %v", err)
	}
	want := `{
  "ociVersion": "1.3.0",
  "process": {
    "args": [
      "make",
      "-j8"
    ],
    "env": [
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    ]
  }
}
`
	if got := encode(t, s); got != want {
		t.Errorf("Encode:\n%s\nwant:\n%s", got, want)
	}
}

func encode(t *testing.T, s *Spec) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What a document says about user and cwd survives each way through JSON.
func TestRoundTrip(t *testing.T) {
	tests := []struct {
		name, doc string
		inherit   bool
	}{
		{"no user", `{"process":{"args":["a"]}}`, true},
		{"null user", `{"process":{"args":["a"],"user":null}}`, true},
		{"root", `{"process":{"args":["a"],"user":{"uid":0,"gid":0}}}`, false},
		{"no process", `{"ociVersion":"1.0.0"}`, true},
		{"shell", `{"process":{"args":["sh","-c","a && b > <c>"],"cwd":"/"}}`, true},
		{"exact numbers", `{"windows":{"layerFolders":["c"],"credentialSpec":{"n":123456789012345678901}}}`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Decode([]byte(tt.doc), true)
			if err != nil {
				t.Fatal(err)
			}
			if s.InheritUser != tt.inherit {
				t.Errorf("InheritUser = %v", s.InheritUser)
			}
			first := encode(t, s)
			again, err := Decode([]byte(first), true)
			if err != nil {
				t.Fatalf("decode of %s: %v", first, err)
			}
			if second := encode(t, again); second != first || again.InheritUser != tt.inherit {
				t.Errorf("%s became %s", first, second)
			}
			// A Spec inside another document, by value: a state file.
			data, err := json.Marshal(struct{ S Spec }{*s})
			var in struct{ S Spec }
			if err := errors.Join(err, json.Unmarshal(data, &in)); err != nil {
				t.Fatal(err)
			}
			if got := encode(t, &in.S); got != first || in.S.InheritUser != tt.inherit {
				t.Errorf("through %s, %s became %s", data, first, got)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if s, err := Load(write("good.json", `{"process":{"args":["a"]}}`), true); err != nil || s.Process.Args[0] != "a" {
		t.Errorf("Load = %v, %v", s, err)
	}
	var problems Problems
	if s, err := Load(write("bad.json", `{"proces":{}}`), true); !errors.As(err, &problems) || s == nil {
		t.Errorf("Load of a bad spec = %v, %v; want a Spec and Problems", s, err)
	}
	missing := filepath.Join(dir, "missing.json")
	if _, err := Load(missing, true); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("Load of a missing file: %v", err)
	}
	if _, err := Load(dir, true); err == nil || !strings.Contains(err.Error(), dir+": it is a directory") {
		t.Errorf("Load of a directory: %v", err)
	}
	large := write("large.json", strings.Repeat(" ", MaxSize+1))
	if _, err := Load(large, true); err == nil || !strings.Contains(err.Error(), "limit of 16 MiB") || !strings.Contains(err.Error(), large) {
		t.Errorf("Load of a large file: %v", err)
	}
}

// An endless reader is read up to the limit and no further.
func TestReadStops(t *testing.T) {
	r := &endless{}
	if _, err := Read(r, true); err == nil || !strings.Contains(err.Error(), "16 MiB") {
		t.Errorf("Read = %v", err)
	}
	if r.n > MaxSize+1 {
		t.Errorf("%d bytes were read", r.n)
	}
	broken := io.MultiReader(strings.NewReader("{"), errReader{})
	if _, err := Read(broken, true); !errors.Is(err, errBroken) {
		t.Errorf("Read of a broken pipe = %v", err)
	}
}

type endless struct{ n int }

func (r *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '['
	}
	r.n += len(p)
	return len(p), nil
}

var errBroken = errors.New("broken")

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errBroken }

func TestValidateID(t *testing.T) {
	for _, id := range []string{"a", "A.b_c+d-9", "...", strings.Repeat("x", MaxIDLength)} {
		if err := ValidateID(id); err != nil {
			t.Errorf("ValidateID(%q) = %v", id, err)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "a b", "a\n", "a\x00", "ä", "a:b", "a@b", strings.Repeat("x", 300)} {
		if err := ValidateID(id); err == nil {
			t.Errorf("ValidateID(%q) = nil", id)
		} else if strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 200 {
			t.Errorf("ValidateID(%q): unprintable message %q", id, err)
		}
	}
}

func TestCapabilities(t *testing.T) {
	for name, want := range map[string]int{"CAP_CHOWN": 0, "CAP_SYS_ADMIN": 21, "CAP_SETFCAP": 31, "CAP_CHECKPOINT_RESTORE": 40} {
		if n, ok := CapabilityNumber(name); !ok || n != want {
			t.Errorf("CapabilityNumber(%q) = %d, %v", name, n, ok)
		}
	}
	if n, ok := CapabilityNumber("cap_chown"); ok {
		t.Errorf("CapabilityNumber of a lower case name = %d, true", n)
	}
	if n := len(CapabilityNames()); n != 41 {
		t.Errorf("%d capabilities", n)
	}
}

func BenchmarkDecodeAndValidate(b *testing.B) {
	doc := []byte(`{"ociVersion":"1.3.0","process":{"args":["make","-j8"],"env":["PATH=/bin"],"cwd":"/","rlimits":[{"type":"RLIMIT_NOFILE","soft":1,"hard":2}]},
		"linux":{"resources":{"memory":{"limit":1000000},"pids":{"limit":5}}}}`)
	for b.Loop() {
		s, err := Decode(doc, true)
		if err == nil {
			err = s.Validate()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
