package spec

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// OCI's good configurations decode, strictly too, and what is wrong with one
// is only that it asks for what pkshim refuses. What else may be, and why, is here.
func TestGoodFixtures(t *testing.T) {
	noProcess := "process: missing: there is nothing to run"
	oldVersion := `ociVersion: refused: version "0.5.0-dev"; only major version 1 is known`
	may := map[string][]string{
		// These are for a create without a start, which needs no process.
		"freebsd-minimal.json": {noProcess},
		"linux-netdevice.json": {noProcess},
		"linux-rdma.json":      {noProcess},
		"minimal.json":         {noProcess},
		"zos-minimal.json":     {noProcess},
		// Older than the promise of compatibility.
		"spec-example.json": {oldVersion,
			// It was there before 1.0 and is in no type now; OCI's schema does not look for what it does not know.
			`linux.resources.oomScoreAdj: unknown property; did you mean "process.oomScoreAdj"?`},
		"zos-example.json": {oldVersion},
	}
	for _, path := range fixtures(t, "good") {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			for _, strict := range []bool{false, true} {
				s, err := Load(path, strict)
				if s == nil || !strict && err != nil {
					t.Errorf("strict %v: %v", strict, err)
					continue
				}
				var problems Problems
				errors.As(s.Validate(), &problems)
				for _, p := range problems {
					_, message, _ := strings.Cut(p.Error(), ": ") // from the position
					if p.Kind != KindUnsupported && !slices.Contains(may[name], message) {
						t.Errorf("strict %v: %v", strict, p)
					}
				}
			}
		})
	}
}

// OCI's bad configurations are rejected, each for the reason it was written for.
func TestBadFixtures(t *testing.T) {
	want := map[string]string{
		"invalid-json.json":         `1:2: invalid character ']' looking for beginning of object key string`,
		"linux-hugepage.json":       `11:33: linux.resources.hugepageLimits[0].pageSize: "64kB" is not a page size such as 64KB, 2MB or 1GB`,
		"linux-netdevice.json":      `9:25: linux.netDevices.eth0.name: must be a string, not a number`,
		"linux-rdma.json":           `10:35: linux.resources.rdma.mlx5_1.hcaHandles: must be a number, not a string`,
		"freebsd-vnet-disable.json": `6:16: freebsd: refused: `, // whatever it says
	}
	for _, path := range fixtures(t, "bad") {
		for _, strict := range []bool{false, true} {
			s, err := Load(path, strict)
			if s != nil {
				err = s.Validate()
			}
			if name := filepath.Base(path); want[name] == "" || !strings.Contains(text(err), want[name]) {
				t.Errorf("%s, strict %v: %v, want %s", name, strict, err, want[name])
			}
		}
	}
}

func fixtures(t *testing.T, kind string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "runtime-spec", kind, "*.json"))
	if err != nil || len(paths) < 5 {
		t.Fatalf("fixtures: %q, %v", paths, err)
	}
	return paths
}

// FuzzDecode: no document makes Decode or Validate panic, and what a strict
// decode accepts survives being written and read again.
func FuzzDecode(f *testing.F) {
	for _, pattern := range []string{"good/*.json", "bad/*.json"} {
		paths, err := filepath.Glob(filepath.Join("testdata", "runtime-spec", filepath.FromSlash(pattern)))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("\xEF\xBB\xBF{\"process\":{\"args\":[\"\\ud800\"],\"user\":{\"uid\":1e3,\"gid\":-0}}}"))
	f.Add([]byte(`{"process":{"args":["a"],"args":null},"annotations":{"":"","[0]":"x"},"windows":{"layerFolders":[],"credentialSpec":[1e999,{}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, _ := Decode(data, false); s != nil {
			_ = s.Validate()
			_ = s.Warnings()
		}
		s, err := Decode(data, true)
		if s == nil {
			if err == nil {
				t.Fatal("neither a spec nor an error")
			}
			return
		}
		_ = s.Validate()
		if err != nil {
			return
		}
		first := encode(t, s)
		again, err := Decode([]byte(first), true)
		if err != nil {
			t.Fatalf("%s\ndoes not decode: %v", first, err)
		}
		if second := encode(t, again); second != first || again.InheritUser != s.InheritUser {
			t.Fatalf("%s\nbecame\n%s", first, second)
		}
	})
}
