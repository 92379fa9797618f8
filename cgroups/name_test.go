package cgroups

import (
	"strings"
	"testing"
)

func TestUnitName(t *testing.T) {
	tests := []struct{ prefix, id, want string }{ // no want: refused
		{"pkshim", "my-job", "pkshim-my-job.scope"},
		{"", "job", "job.scope"},
		{"cri-containerd", "0123abcdef", "cri-containerd-0123abcdef.scope"},
		{"pkshim", "a.b_c:d", "pkshim-a.b_c:d.scope"},
		{"pkshim", "a+b", `pkshim-a\x2bb.scope`},
		{"pkshim", "a@b c/d", `pkshim-a\x40b\x20c\x2fd.scope`},
		{"pkshim", `a\x2bb`, `pkshim-a\x5cx2bb.scope`},
		{"pkshim", "ä", `pkshim-\xc3\xa4.scope`},
		{"", ".hidden", `\x2ehidden.scope`},
		{"pkshim", ".", "pkshim-..scope"},
		{"", "", ""},
		{"pkshim", "", ""},
		{"pkshim", "a\nb", ""},
		{"pkshim", "a\x00", ""},
		{"pk\tshim", "a", ""},
		{"", strings.Repeat("a", 249), strings.Repeat("a", 249) + ".scope"},
		{"", strings.Repeat("a", 250), ""},
		{"pkshim", strings.Repeat("+", 60), "pkshim-" + strings.Repeat(`\x2b`, 60) + ".scope"},
		{"pkshim", strings.Repeat("+", 61), ""},
		{"pkshim", strings.Repeat("x", 300), ""},
	}
	for _, test := range tests {
		got, err := UnitName(test.prefix, test.id)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q, %q: %q, %v; want %q", test.prefix, test.id, got, err, test.want)
		}
	}
}

func TestParsePath(t *testing.T) {
	good := []struct {
		in   string
		want Path
		unit string
	}{
		{"", Path{}, ""},
		{"/a/b", Path{Dir: "/a/b"}, ""},
		{"/k8s.io/0123", Path{Dir: "/k8s.io/0123"}, ""},
		{"a//b/./c/", Path{Dir: "a/b/c"}, ""},
		{"/with:colon", Path{Dir: "/with:colon"}, ""},
		{"/..a/b..", Path{Dir: "/..a/b.."}, ""},
		{"system.slice:cri-containerd:0123", Path{Systemd: true, Slice: "system.slice", Prefix: "cri-containerd", Name: "0123"}, "cri-containerd-0123.scope"},
		{"::job", Path{Systemd: true, Name: "job"}, "job.scope"},
		{":runc:a+b", Path{Systemd: true, Prefix: "runc", Name: "a+b"}, `runc-a\x2bb.scope`},
		{"a-b.slice::x.service", Path{Systemd: true, Slice: "a-b.slice", Name: "x.service"}, "x.service.scope"},
		{"-.slice:p:n", Path{Systemd: true, Slice: "-.slice", Prefix: "p", Name: "n"}, "p-n.scope"},
	}
	for _, test := range good {
		got, err := ParsePath(test.in)
		if err != nil || got != test.want || got.Unit() != test.unit {
			t.Errorf("%q: %+v, unit %q, %v", test.in, got, got.Unit(), err)
		}
	}
	for _, bad := range []string{
		"/", ".", "//", "./.", "..", "../..", "/a/../b", "a/..", "/a\nb", "/a\x00b", "a\x7f",
		"/cgroup.procs", "x/cgroup.kill/y", "/" + strings.Repeat("a", 256),
		"a:b", "a:b:c:d", ":", "system.slice:x:", "system.slice::", "a:b:../c", "system.slice:a/b:c", "::a/b",
		"system:a:b", "/:a", "a/b.slice:p:n:", "a--b.slice:p:n", "::system.slice", "user.slice:x:y.slice",
		"system.slice:p:a\nb", "::" + strings.Repeat("a", 250), "a/b:c", "../a:b:c", ".slice:a:b",
	} {
		got, err := ParsePath(bad)
		if bad == "/:a" { // absolute, so a path
			if err != nil || got.Dir != bad {
				t.Errorf("%q: %+v, %v", bad, got, err)
			}
			continue
		}
		if err == nil || got != (Path{}) {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
}

func TestExpandSlice(t *testing.T) {
	tests := []struct {
		in, want string
		ok       bool
	}{
		{"-.slice", "", true},
		{"system.slice", "system.slice", true},
		{"a-b.slice", "a.slice/a-b.slice", true},
		{"user-1000-x.slice", "user.slice/user-1000.slice/user-1000-x.slice", true},
		{`a\x2db.slice`, `a\x2db.slice`, true},
		{"", "", false},
		{".slice", "", false},
		{"a", "", false},
		{"a.scope", "", false},
		{"-a.slice", "", false},
		{"a-.slice", "", false},
		{"a--b.slice", "", false},
		{"--.slice", "", false},
		{"a/b.slice", "", false},
		{"../a.slice", "", false},
		{"a@b.slice", "", false},
		{"a b.slice", "", false},
		{"a\n.slice", "", false},
		{strings.Repeat("a", 250) + ".slice", "", false},
	}
	for _, test := range tests {
		got, err := ExpandSlice(test.in)
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("%q: %q, %v", test.in, got, err)
		}
	}
}

func FuzzUnitName(f *testing.F) {
	f.Add("pkshim", "a+b")
	f.Add("", ".x@y\\")
	f.Fuzz(func(t *testing.T, prefix, id string) {
		name, err := UnitName(prefix, id)
		if err != nil {
			if name != "" {
				t.Fatalf("%q and %v", name, err)
			}
			return
		}
		for i := 0; i < len(name); i++ {
			if !unitByte(name[i]) {
				t.Fatalf("%q", name)
			}
		}
		if len(name) > 255 || !strings.HasSuffix(name, ".scope") || name[0] == '.' {
			t.Fatalf("%q", name)
		}
	})
}

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"/a/b", "system.slice:p:n", "a:b", "../x", "-.slice::x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePath(text)
		if err != nil {
			if p != (Path{}) {
				t.Fatalf("%+v and %v", p, err)
			}
			return
		}
		if p.Systemd != (p.Unit() != "") || p.Systemd != (p.Dir == "") && text != "" {
			t.Fatalf("%q: %+v", text, p)
		}
		for part := range strings.SplitSeq(p.Dir, "/") {
			if part == ".." {
				t.Fatalf("%q: %+v", text, p)
			}
		}
		if again, err := ParsePath(p.Dir); !p.Systemd && (err != nil || again != p) {
			t.Fatalf("%q: %+v is read again as %+v, %v", text, p, again, err)
		}
	})
}
