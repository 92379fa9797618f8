package spec

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestValidateMemory(t *testing.T) {
	memory := func(s string) string { return inResources(`"memory":{` + s + `}`) }
	validateAll(t, []validateTest{
		{"all", memory(`"limit":100,"reservation":100,"swap":100`), ``},
		{"unlimited", memory(`"limit":-1,"reservation":-1,"swap":-1`), ``},
		{"swap only", memory(`"swap":-1`), ``},
		{"negative", memory(`"limit":-2,"reservation":-3,"swap":-4`), lines(
			`linux.resources.memory.limit: -2 is negative; -1 is unlimited`,
			`linux.resources.memory.reservation: -3 is negative; -1 is unlimited`,
			`linux.resources.memory.swap: -4 is negative; -1 is unlimited`)},
		{"zero", memory(`"limit":0,"swap":0`), lines(
			`linux.resources.memory.limit: 0 bytes is no limit; leave it out for no limit`,
			`linux.resources.memory.swap: 0 bytes is no limit; memory and swap are counted together, so the value of limit forbids swapping`)},
		{"swap below", memory(`"limit":100,"swap":99`), `linux.resources.memory.swap: 99 is less than the limit of 100, which it includes`},
		{"swap alone", memory(`"swap":99`), `linux.resources.memory.swap: a limit of memory and swap together needs a limit of memory`},
		{"swap of unlimited", memory(`"limit":-1,"swap":99`), `linux.resources.memory.swap: a limit of memory and swap together needs a limit of memory`},
		{"reservation", memory(`"limit":100,"reservation":101`), `linux.resources.memory.reservation: 101 is more than the limit of 100`},
		{"v1", memory(`"kernel":1,"swappiness":0,"useHierarchy":false`), lines(
			`linux.resources.memory.kernel: refused: `+onlyV1,
			`linux.resources.memory.swappiness: refused: `+onlyV1+"; swap equal to limit forbids swapping",
			`linux.resources.memory.useHierarchy: refused: cgroup v2 is always hierarchical: true is accepted, false is refused`)},
	})
}

func TestValidateCPUAndPids(t *testing.T) {
	validateAll(t, []validateTest{
		{"cpu", inResources(`"cpu":{"shares":262144,"quota":1000,"period":1000000,"burst":1000,"idle":0,"cpus":"0,2-3","mems":"0"}`), ``},
		{"not set", inResources(`"cpu":{"shares":0,"quota":0,"period":0,"burst":0,"idle":1,"cpus":""}`), ``},
		{"no quota", inResources(`"cpu":{"quota":-1,"burst":5}`), ``},
		{"ranges", inResources(`"cpu":{"shares":1,"quota":999,"period":999,"idle":2}`), lines(
			`linux.resources.cpu.shares: 1 is out of range: 2 to 262144`,
			`linux.resources.cpu.quota: 999 µs is out of range: 1000 to 17592186044415, or -1 for no limit`,
			`linux.resources.cpu.period: 999 µs is out of range: 1000 to 1000000`,
			`linux.resources.cpu.idle: 2 is neither 0 nor 1`)},
		{"above", inResources(`"cpu":{"shares":262145,"quota":-2,"period":1000001}`), lines(
			`linux.resources.cpu.shares: 262145 is out of range: 2 to 262144`,
			`linux.resources.cpu.quota: -2 µs is out of range: 1000 to 17592186044415, or -1 for no limit`,
			`linux.resources.cpu.period: 1000001 µs is out of range: 1000 to 1000000`)},
		{"burst", inResources(`"cpu":{"quota":2000,"burst":2001}`), `linux.resources.cpu.burst: 2001 µs is more than the quota of 2000`},
		{"idle", inResources(`"cpu":{"idle":1,"shares":2}`), `linux.resources.cpu.shares: an idle group has no shares`},
		{"lists", inResources(`"cpu":{"cpus":"3-1","mems":"1024"}`), lines(
			`linux.resources.cpu.cpus: "3-1" is a range from high to low`,
			`linux.resources.cpu.mems: "1024" is out of range: 0 to 1023`)},
		{"realtime", inResources(`"cpu":{"realtimeRuntime":1,"realtimePeriod":1}`), lines(
			`linux.resources.cpu.realtimeRuntime: refused: `+onlyV1,
			`linux.resources.cpu.realtimePeriod: refused: `+onlyV1)},
		{"pids", inResources(`"pids":{"limit":0}`), ``},
		{"all pids", inResources(`"pids":{"limit":-1}`), ``},
		{"bad pids", inResources(`"pids":{"limit":-2}`), `linux.resources.pids.limit: -2 is negative; -1 is unlimited`},
		{"many pids", inResources(`"pids":{"limit":9223372036854775807}`), ``},
		{"much", inResources(`"cpu":{"quota":17592186044416,"burst":17592186044416}`), lines(
			`linux.resources.cpu.quota: 17592186044416 µs is out of range: 1000 to 17592186044415, or -1 for no limit`,
			`linux.resources.cpu.burst: 17592186044416 µs is out of range: 0 to 17592186044415`)},
	})
	for _, list := range []string{" 1", "1 ", "1,,2", "-1", "1-", "1-2-3", "0x1", "1:2", "all", "+1", "0-+3", ",", "-", "99999999999"} {
		doc, _ := json.Marshal(map[string]any{"process": map[string]any{"args": []string{"a"}},
			"linux": map[string]any{"resources": map[string]any{"cpu": map[string]any{"cpus": list}}}})
		if s, err := Decode(doc, true); err != nil || s.Validate() == nil {
			t.Errorf("cpus %q is accepted (%v)", list, err)
		}
	}
}

func TestValidateIO(t *testing.T) {
	validateAll(t, []validateTest{
		{"io", inResources(`"blockIO":{"weight":10,"weightDevice":[{"major":8,"minor":0,"weight":1000}],"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}]}`), ``},
		{"weights", inResources(`"blockIO":{"weight":9,"leafWeight":10,"weightDevice":[{"major":8,"minor":0,"weight":1001},{"major":8,"minor":1},{"major":8,"minor":2,"leafWeight":10}]}`), lines(
			`linux.resources.blockIO.weight: 9 is out of range: 10 to 1000`,
			`linux.resources.blockIO.leafWeight: refused: `+onlyV1,
			`linux.resources.blockIO.weightDevice[0].weight: 1001 is out of range: 10 to 1000`,
			`linux.resources.blockIO.weightDevice[1].weight: missing: there is nothing to set for the device`,
			`linux.resources.blockIO.weightDevice[2].leafWeight: refused: `+onlyV1)},
		{"devices", inResources(`"blockIO":{"throttleWriteIOPSDevice":[{"major":-1,"minor":1048576,"rate":0},{"major":4096,"minor":0,"rate":1},{"major":8,"minor":0,"rate":1},{"major":8,"minor":0,"rate":1}]}`), lines(
			`linux.resources.blockIO.throttleWriteIOPSDevice[0].major: -1 is out of range: 0 to 4095`,
			`linux.resources.blockIO.throttleWriteIOPSDevice[0].minor: 1048576 is out of range: 0 to 1048575`,
			`linux.resources.blockIO.throttleWriteIOPSDevice[0].rate: 0 would stop the device; leave it out for no limit`,
			`linux.resources.blockIO.throttleWriteIOPSDevice[1].major: 4096 is out of range: 0 to 4095`,
			`linux.resources.blockIO.throttleWriteIOPSDevice[3]: device 8:0 is given twice`)},
		{"hugepages", inResources(`"hugepageLimits":[{"pageSize":"64KB","limit":0},{"pageSize":"2MB","limit":1},{"pageSize":"1GB","limit":1}]`), ``},
		{"twice", inResources(`"hugepageLimits":[{"pageSize":"2MB","limit":0},{"pageSize":"2MB","limit":1}]`), `linux.resources.hugepageLimits[1].pageSize: 2MB is given twice`},
		{"rdma", inResources(`"rdma":{"mlx5_1":{"hcaHandles":3},"rxe3":{"hcaObjects":2147483647}}`), ``},
		{"bad rdma", inResources(`"rdma":{"a b":{"hcaHandles":3},"":{"hcaHandles":1},"c/d":{"hcaObjects":1},"e\n":{"hcaHandles":1},"f":{},"g=h":{"hcaHandles":4294967295}}`), lines(
			`linux.resources.rdma["a b"]: "a b" is not the name of an RDMA device`,
			`linux.resources.rdma[""]: "" is not the name of an RDMA device`,
			`linux.resources.rdma["c/d"]: "c/d" is not the name of an RDMA device`,
			`linux.resources.rdma["e\n"]: "e\n" is not the name of an RDMA device`,
			`linux.resources.rdma.f: neither hcaHandles nor hcaObjects is given`,
			`linux.resources.rdma["g=h"]: "g=h" is not the name of an RDMA device`)},
	})
	for _, size := range []string{"", "B", "MB", "0MB", "02MB", "2mb", "2kB", "2M", "2 MB", "2TB", "2MB\n", "../../x", "../2MB", "2MB/..", "-2MB", "9999999999MB"} {
		if isPageSize(size) {
			t.Errorf("page size %q is accepted", size)
		}
	}
}

func TestValidateUnified(t *testing.T) {
	validateAll(t, []validateTest{
		{"files", inResources(`"unified":{"memory.high":"1","hugetlb.1GB.max":"1","io.max":"259:0 rbps=2\n253:0 rbps=3","io.bfq.weight":"5","misc.max":"res_a 1","cgroup.max.depth":"3"}`), ``},
		{"keys", inResources(`"unified":{"memory":"1","../x":"1","memory..max":"1","memory/max":"1",".max":"1","memory.":"1","Memory.max":"1","":"1","memory.a b":"1","a.\u0000":"1"}`), lines(
			`linux.resources.unified.memory: "memory" is not the name of a controller's file, such as memory.high`,
			`linux.resources.unified["../x"]: "../x" is not the name of a controller's file, such as memory.high`,
			`linux.resources.unified["memory..max"]: "memory..max" is not the name of a controller's file, such as memory.high`,
			`linux.resources.unified["memory/max"]: "memory/max" is not the name of a controller's file, such as memory.high`,
			`linux.resources.unified[".max"]: ".max" is not the name of a controller's file, such as memory.high`,
			`linux.resources.unified["memory."]: "memory." is not the name of a controller's file, such as memory.high`,
			`linux.resources.unified["Memory.max"]: "Memory.max" is not the name of a controller's file, such as memory.high`,
			`linux.resources.unified[""]: "" is not the name of a controller's file, such as memory.high`,
			`linux.resources.unified["memory.a b"]: "memory.a b" is not the name of a controller's file, such as memory.high`,
			`linux.resources.unified["a.\x00"]: "a.\x00" is not the name of a controller's file, such as memory.high`)},
		{"core files", inResources(`"unified":{"cgroup.procs":"1"}`),
			`linux.resources.unified["cgroup.procs"]: refused: the cgroup.* files place, freeze and kill processes, which is pkshim's part`},
		{"values", inResources(`"unified":{"memory.high":"","memory.low":"\u0000"}`), lines(
			`linux.resources.unified["memory.high"]: the value is empty`,
			`linux.resources.unified["memory.low"]: the value has a NUL character`)},
		{"twice", inResources(`"memory":{"limit":1,"reservation":1,"swap":1},"pids":{"limit":1},"rdma":{"a":{"hcaHandles":1}},
			"cpu":{"shares":2,"quota":1000,"burst":1,"cpus":"0","mems":"0","idle":0},
			"blockIO":{"weight":10,"throttleWriteBpsDevice":[{"major":1,"minor":1,"rate":1}]},"hugepageLimits":[{"pageSize":"2MB","limit":1}],
			"unified":{"memory.max":"1","memory.low":"1","memory.swap.max":"1","pids.max":"1","rdma.max":"a","cpu.weight":"1","cpu.max":"1","cpu.max.burst":"1",
				"cpu.idle":"0","cpuset.cpus":"0","cpuset.mems":"0","io.weight":"1","io.max":"1","hugetlb.2MB.rsvd.max":"1","hugetlb.1GB.max":"1"}`), lines(
			`linux.resources.unified["memory.max"]: given twice: linux.resources.memory.limit is the same file`,
			`linux.resources.unified["memory.low"]: given twice: linux.resources.memory.reservation is the same file`,
			`linux.resources.unified["memory.swap.max"]: given twice: linux.resources.memory.swap is the same file`,
			`linux.resources.unified["pids.max"]: given twice: linux.resources.pids.limit is the same file`,
			`linux.resources.unified["rdma.max"]: given twice: linux.resources.rdma is the same file`,
			`linux.resources.unified["cpu.weight"]: given twice: linux.resources.cpu.shares is the same file`,
			`linux.resources.unified["cpu.max"]: given twice: linux.resources.cpu.quota is the same file`,
			`linux.resources.unified["cpu.max.burst"]: given twice: linux.resources.cpu.burst is the same file`,
			`linux.resources.unified["cpu.idle"]: given twice: linux.resources.cpu.idle is the same file`,
			`linux.resources.unified["cpuset.cpus"]: given twice: linux.resources.cpu.cpus is the same file`,
			`linux.resources.unified["cpuset.mems"]: given twice: linux.resources.cpu.mems is the same file`,
			`linux.resources.unified["io.weight"]: given twice: linux.resources.blockIO.weight is the same file`,
			`linux.resources.unified["io.max"]: given twice: linux.resources.blockIO.throttleWriteBpsDevice is the same file`,
			`linux.resources.unified["hugetlb.2MB.rsvd.max"]: given twice: linux.resources.hugepageLimits[0] is the same file`)},
	})
}

func TestValidateCgroupsPath(t *testing.T) {
	check := func(path string) string {
		doc, err := json.Marshal(map[string]any{"process": map[string]any{"args": []string{"a"}}, "linux": map[string]any{"cgroupsPath": path}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Decode(doc, true)
		if err != nil {
			t.Fatal(err)
		}
		return text(s.Validate())
	}
	for _, path := range []string{"", "/a/b", "/a//b/", "a", "./a", "/...", "a/b.scope", "/a:b/c", "system.slice:pk:x", ":pk:x", "::x", "-.slice:a:b",
		"user-app-x.slice:p:n+1", `a\x2db.slice:p:n`, ":a:" + strings.Repeat("x", 247)} {
		if got := check(path); got != "" {
			t.Errorf("%q: %s", path, got)
		}
	}
	for path, want := range map[string]string{
		"/":                              "the root of a cgroup tree",
		"..":                             `has a ".." in it`,
		"../..":                          `has a ".." in it`,
		"/a/../b":                        `has a ".." in it`,
		"a\nb":                           "a control character",
		"/a\x00":                         "a control character",
		"/a\u0085":                       "a control character",
		"a:b":                            "2 parts",
		"a.slice:b:c:d":                  "4 parts",
		"a.slice:b:":                     "no name after the last colon",
		"a.slice:b:../c":                 "a / in the name",
		"a.slice:b/c:d":                  "a / in the name",
		"a/b.slice:p:n":                  "not the name of a slice",
		"a:p:n":                          "not the name of a slice",
		".slice:p:n":                     "not the name of a slice",
		"-a.slice:p:n":                   "not the name of a slice",
		"a-.slice:p:n":                   "not the name of a slice",
		"a--b.slice:p:n":                 "not the name of a slice",
		"--.slice:p:n":                   "not the name of a slice",
		"a b.slice:p:n":                  "not the name of a slice",
		"a@b.slice:p:n":                  "not the name of a slice",
		"a.slice:p:n.slice":              "a workload is a scope",
		":a:" + strings.Repeat("x", 248): "at most 255",
		"/" + strings.Repeat("x", 256):   "at most 255",
	} {
		if got := check(path); !strings.Contains(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

// What OCI wants as a warning, or its runtimes agree on, is no problem of a
// lenient spec; the rest is.
func TestLenientWarnings(t *testing.T) {
	const doc = `{"unknown":1,"process":{"args":["a"],"env":["A=1","A=2"],"user":{"uid":0,"gid":0},
		"capabilities":{"bounding":["CAP_KILL","CAP_NEW"],"permitted":["CAP_CHOWN"],"effective":["CAP_CHOWN"]}},
		"linux":{"resources":{"memory":{"limit":0},"pids":{"limit":5},"unified":{"pids.max":"6"}}}}`
	s, err := Decode([]byte(doc), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Errorf("Validate:\n%v", err)
	}
	want := lines(
		`1:51: process.env[1]: "A" is set before, by process.env[0], to something else`,
		`2:31: process.capabilities.bounding[0]: CAP_KILL is not in permitted, but execve would give it to uid 0`,
		`2:42: process.capabilities.bounding[1]: "CAP_NEW" is no capability of Linux`,
		`2:66: process.capabilities.permitted[0]: CAP_CHOWN is dropped at execve: uid 0 keeps what is in bounding or inheritable`,
		`3:43: linux.resources.memory.limit: 0 bytes is no limit; leave it out for no limit`,
		`3:87: linux.resources.unified["pids.max"]: given twice: linux.resources.pids.limit is the same file`)
	if got := s.Warnings().Error(); got != want {
		t.Errorf("warnings:\n%s\nwant:\n%s", got, want)
	}
	s, _ = Decode([]byte(`{"process":{"args":["a"],"rlimits":[{"type":"x","soft":1,"hard":1}]}}`), false)
	if s.Validate() == nil || s.Warnings() != nil {
		t.Errorf("an unknown rlimit: problems %v, warnings %v", s.Validate(), s.Warnings())
	}
}
