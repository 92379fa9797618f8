package cgroups

import (
	"errors"
	"strings"
	"testing"
)

func TestParseMembership(t *testing.T) {
	hybrid := "9:name=systemd:/\n4:memory:/a:b/c\n1:cpu:/\n0::/user.slice/x:y.scope\n"
	tests := []struct {
		in, path    string
		deleted, ok bool
	}{
		{"0::/\n", "/", false, true},
		{"0::/system.slice/pkshim-a.scope/payload\n", "/system.slice/pkshim-a.scope/payload", false, true},
		{"0::/system.slice/pkshim-a.scope (deleted)\n", "/system.slice/pkshim-a.scope", true, true},
		{"0::/../../other\n", "/../../other", false, true},
		{hybrid, "/user.slice/x:y.scope", false, true},
		{"4:memory:/a\n1:cpu:/\n", "", false, false},
		{"", "", false, false},
	}
	for _, test := range tests {
		path, deleted, ok, err := parseMembership([]byte(test.in))
		if path != test.path || deleted != test.deleted || ok != test.ok || err != nil {
			t.Errorf("%q: %q, %t, %t, %v", test.in, path, deleted, ok, err)
		}
	}
	for _, bad := range []string{"0::\n", "0::x\n", "0\n", "0:\n", "\n", "0:: (deleted)\n"} {
		if path, _, _, err := parseMembership([]byte(bad)); err == nil {
			t.Errorf("%q: %q", bad, path)
		}
	}
}

const initStat = "1 (process_api) S 0 0 0 0 -1 4194560 36172 1959076 0 339 124 524 2795 1161 10 -10 13 0 24 47177728 3991 " +
	"18446744073709551615 1 1 0 0 0 0 0 4096 1256 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

// Lines of mountinfo on real hosts.
const (
	rootMount   = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
	sysMount    = "24 22 0:21 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw\n"
	unifiedHost = rootMount + sysMount +
		"30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
	hybridHost = rootMount + sysMount +
		"31 24 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n" +
		"35 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
	bindOfSubtree = "50 22 0:26 /system.slice/a.service /mnt/my\\040cgroup\\134 rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	readOnly      = rootMount + sysMount +
		"60 24 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate\n"
)

func TestFindMount(t *testing.T) {
	v1 := rootMount + sysMount + "31 24 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n35 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	tests := []struct {
		name, in, own string
		point, root   string // no point: none is to be found
		ro, ns        bool
	}{
		{"unified", unifiedHost, "/user.slice", "/sys/fs/cgroup", "/", false, true},
		{"hybrid", hybridHost, "/", "/sys/fs/cgroup/unified", "/", false, false},
		{"read only", readOnly, "/", "/sys/fs/cgroup", "/", true, true},
		{"cgroup v1", v1, "/", "", "", false, false},
		{"empty", "", "", "", "", false, false},
		{"a sub-tree does not win over the whole", bindOfSubtree + unifiedHost, "/system.slice/a.service", "/sys/fs/cgroup", "/", false, true},
		{"a sub-tree alone", rootMount + bindOfSubtree, "/system.slice/a.service/x", `/mnt/my cgroup\`, "/system.slice/a.service", false, true},
		{"a sub-tree that shows us wins over a root that does not",
			rootMount + sysMount + "30 24 0:26 /other /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n" + bindOfSubtree, "/system.slice/a.service", `/mnt/my cgroup\`, "/system.slice/a.service", false, true},
		{"writable before read only", readOnly + "61 22 0:26 / /mnt/cg rw - cgroup2 cgroup rw\n", "/", "/mnt/cg", "/", false, false},
		{"the usual place before another", rootMount + "61 22 0:26 / /mnt/cg rw - cgroup2 cgroup rw\n" + unifiedHost, "/", "/sys/fs/cgroup", "/", false, true},
		{"the first of equals", rootMount + "61 22 0:26 / /mnt/b rw - cgroup2 cgroup rw\n62 22 0:26 / /mnt/a rw - cgroup2 cgroup rw\n", "/", "/mnt/b", "/", false, false},
		{"covered by another mount", unifiedHost + "70 30 0:50 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n", "/", "", "", false, false},
		{"covered by itself", unifiedHost + "70 30 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n", "/", "/sys/fs/cgroup", "/", true, false},
		{"parent covered", unifiedHost + "70 24 0:50 / /sys rw - sysfs sysfs rw\n", "/", "", "", false, false},
		{"directory on the way covered", unifiedHost + "70 24 0:50 / /sys/fs rw - tmpfs tmpfs rw\n", "/", "", "", false, false},
		{"grandparent covered", unifiedHost + "70 22 0:50 / / rw - tmpfs tmpfs rw\n", "/", "", "", false, false},
		{"neighbours do not cover", unifiedHost + "70 24 0:50 / /sys/fs/cgroup2 rw - tmpfs tmpfs rw\n71 24 0:51 / /sys/fs/c rw - tmpfs tmpfs rw\n72 30 0:51 / /sys/fs/cgroup/a rw - tmpfs tmpfs rw\n", "/", "/sys/fs/cgroup", "/", false, true},
		{"own outside of the namespace", unifiedHost, "/../x", "/sys/fs/cgroup", "/", false, true},
		{"mount above the namespace", rootMount + "30 22 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "/", "/sys/fs/cgroup", "/../..", false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := FindMount(strings.NewReader(test.in), test.own)
			if test.point == "" {
				if !errors.Is(err, ErrNoMount) {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if err != nil || got.Point != test.point || got.Root != test.root || got.ReadOnly != test.ro || got.NSDelegate != test.ns {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for _, bad := range []string{"\n", "x\n", "22 x 8:1 / / rw - ext4 a rw\n", "22 1 8:1 / / rw ext4 a rw\n", "22 1 8:1 / / rw - ext4\n"} {
		_, err := FindMount(strings.NewReader(bad), "")
		var parse *ParseError
		if !errors.As(err, &parse) || parse.File != "mountinfo" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestMountDir(t *testing.T) {
	tests := []struct{ root, cgroup, dir string }{ // no dir: not shown
		{"/", "/", "/cg"},
		{"/", "/a/b", "/cg/a/b"},
		{"/a", "/a", "/cg"},
		{"/a", "/a/b", "/cg/b"},
		{"/a", "/ab", ""},
		{"/a", "/", ""},
		{"/", "/..", ""},
		{"/", "/../x", ""},
		{"/..", "/../x", "/cg/x"},
		{"/..", "/x", ""},
		{"/", "relative", ""},
	}
	for _, test := range tests {
		dir, ok := Mount{Point: "/cg", Root: test.root}.Dir(test.cgroup)
		if dir != test.dir || ok != (test.dir != "") {
			t.Errorf("%s in %s: %q, %t", test.cgroup, test.root, dir, ok)
		}
	}
}

func FuzzParseMembership(f *testing.F) {
	fuzzFile(f, []string{"0::/\n", "9:name=systemd:/\n0::/a (deleted)\n", "0::"}, func(data []byte) error {
		path, _, ok, err := parseMembership(data)
		if ok && !strings.HasPrefix(path, "/") {
			return errors.New("relative path")
		}
		return err
	})
}

func FuzzFindMount(f *testing.F) {
	for _, seed := range []string{unifiedHost, hybridHost, bindOfSubtree, "1 1 0:1 / / rw - cgroup2 a rw\n", "1 2 0:1 / / rw - cgroup2 a rw\n2 1 0:1 / / rw - tmpfs a rw\n", `1 1 0:1 /\04 /\999 rw - cgroup2 a rw`} {
		f.Add(seed, "/a")
	}
	f.Fuzz(func(t *testing.T, text, own string) {
		m, err := FindMount(strings.NewReader(text), own)
		var parse *ParseError
		if err != nil && !errors.Is(err, ErrNoMount) && !errors.As(err, &parse) {
			t.Errorf("%v", err)
		}
		m.Dir(own)
	})
}
