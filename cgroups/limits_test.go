package cgroups

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

const testPage = 4096

// show spells a row for comparison: file, property, and what may be absent.
func (s Setting) show() string {
	var parts []string
	if s.File != "" {
		parts = append(parts, s.File+"="+s.Value)
	}
	switch v := s.Variant.(type) {
	case nil:
	case []byte:
		parts = append(parts, fmt.Sprintf("%s=%x", s.Property, v))
	case uint64:
		parts = append(parts, s.Property+"="+formatLimit(v))
	default:
		parts = append(parts, fmt.Sprintf("%s=%v", s.Property, v))
	}
	if s.Optional {
		parts = append(parts, "optional")
	}
	if s.Alternative != "" {
		parts = append(parts, "or "+s.Alternative)
	}
	return strings.Join(parts, " ; ")
}

// resources decodes linux.resources.
func resources(t testing.TB, text string) *specs.LinuxResources {
	t.Helper()
	r := new(specs.LinuxResources)
	if err := json.Unmarshal([]byte(text), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// settingsTests are requests and the rows they must give, in order. The
// vectors come from the OCI text, the kernel's and systemd's documentation,
// not from the code.
var settingsTests = []struct {
	name, in string
	want     []string
}{
	{"nothing", `{}`, nil},
	{"zeros are not asked", `{"memory":{"limit":0,"reservation":0,"swap":0},"cpu":{"shares":0,"quota":0,"period":0},"blockIO":{"weight":0}}`, nil},

	{"memory", `{"memory":{"limit":268435456}}`, []string{"memory.max=268435456 ; MemoryMax=268435456"}},
	{"memory rounds down to pages", `{"memory":{"limit":268439551}}`, []string{"memory.max=268435456 ; MemoryMax=268435456"}},
	{"memory unlimited takes swap along", `{"memory":{"limit":-1}}`, []string{
		"memory.swap.max=max ; MemorySwapMax=max ; optional", "memory.max=max ; MemoryMax=max ; optional"}},
	{"memory at the top is max", `{"memory":{"limit":9223372036854775807}}`, []string{"memory.max=max ; MemoryMax=max ; optional"}},
	{"memory just below the top", `{"memory":{"limit":9223372036854767616}}`, []string{"memory.max=9223372036854767616 ; MemoryMax=9223372036854767616"}},
	{"reservation is low", `{"memory":{"reservation":8192}}`, []string{"memory.low=8192 ; MemoryLow=8192"}},
	{"reservation unlimited", `{"memory":{"reservation":-1}}`, []string{"memory.low=max ; MemoryLow=max"}},

	{"swap beside memory", `{"memory":{"limit":1048576,"swap":3145728}}`, []string{
		"memory.swap.max=2097152 ; MemorySwapMax=2097152", "memory.max=1048576 ; MemoryMax=1048576"}},
	{"equal total forbids swap", `{"memory":{"limit":1048576,"swap":1048576}}`, []string{
		"memory.swap.max=0 ; MemorySwapMax=0 ; optional", "memory.max=1048576 ; MemoryMax=1048576"}},
	{"swap unlimited", `{"memory":{"limit":1048576,"swap":-1}}`, []string{
		"memory.swap.max=max ; MemorySwapMax=max ; optional", "memory.max=1048576 ; MemoryMax=1048576"}},
	{"swap unlimited alone", `{"memory":{"swap":-1}}`, []string{"memory.swap.max=max ; MemorySwapMax=max ; optional"}},

	{"shares", `{"cpu":{"shares":1024}}`, []string{"cpu.weight=100 ; CPUWeight=100"}},
	{"idle", `{"cpu":{"idle":1}}`, []string{"cpu.idle=1 ; CPUWeight=0"}},
	{"idle has no weight", `{"cpu":{"idle":1,"shares":2048}}`, []string{"cpu.idle=1 ; CPUWeight=0"}},
	{"not idle", `{"cpu":{"idle":0}}`, []string{"cpu.idle=0 ; CPUWeight=100 ; optional"}},
	{"not idle, weight", `{"cpu":{"idle":0,"shares":2048}}`, []string{"cpu.idle=0 ; optional", "cpu.weight=174 ; CPUWeight=174"}},

	{"quota", `{"cpu":{"quota":150000,"period":100000}}`, []string{
		"cpu.max=150000 100000 ; CPUQuotaPerSecUSec=1500000", "CPUQuotaPeriodUSec=100000"}},
	{"quota alone", `{"cpu":{"quota":50000}}`, []string{
		"cpu.max=50000 100000 ; CPUQuotaPerSecUSec=500000", "CPUQuotaPeriodUSec=100000"}},
	{"period alone", `{"cpu":{"period":50000}}`, []string{
		"cpu.max=max 50000 ; CPUQuotaPerSecUSec=max ; optional", "CPUQuotaPeriodUSec=50000"}},
	{"quota unlimited", `{"cpu":{"quota":-1}}`, []string{
		"cpu.max=max 100000 ; CPUQuotaPerSecUSec=max ; optional", "CPUQuotaPeriodUSec=100000"}},
	{"quota of half a percent", `{"cpu":{"quota":500}}`, []string{ // 5 000 µs/s → 1 %
		"cpu.max=1000 100000 ; CPUQuotaPerSecUSec=10000", "CPUQuotaPeriodUSec=100000"}},
	{"quota between percents", `{"cpu":{"quota":12345,"period":100000}}`, []string{ // 12.345 % → 13 %
		"cpu.max=13000 100000 ; CPUQuotaPerSecUSec=130000", "CPUQuotaPeriodUSec=100000"}},
	{"odd period", `{"cpu":{"quota":1000,"period":33333}}`, []string{ // 3.00003 % → 4 %: 1333.32 µs
		"cpu.max=1333 33333 ; CPUQuotaPerSecUSec=40000", "CPUQuotaPeriodUSec=33333"}},
	{"burst comes after quota", `{"cpu":{"burst":20000,"quota":50000}}`, []string{
		"cpu.max=50000 100000 ; CPUQuotaPerSecUSec=500000", "cpu.max.burst=20000", "CPUQuotaPeriodUSec=100000"}},
	{"no burst", `{"cpu":{"burst":0}}`, []string{"cpu.max.burst=0 ; optional"}},
	{"cpuset", `{"cpu":{"cpus":"0-3,7","mems":"0"}}`, []string{
		"cpuset.cpus=0-3,7 ; AllowedCPUs=8f", "cpuset.mems=0 ; AllowedMemoryNodes=01"}},

	{"pids", `{"pids":{"limit":64}}`, []string{"pids.max=64 ; TasksMax=65"}},
	{"pids 0 is a limit", `{"pids":{"limit":0}}`, []string{"pids.max=0 ; TasksMax=1"}},
	{"pids unlimited", `{"pids":{"limit":-1}}`, []string{"pids.max=max ; TasksMax=max ; optional"}},
	{"pids at the kernel's most", `{"pids":{"limit":4194304}}`, []string{"pids.max=4194304 ; TasksMax=max"}},
	{"pids above the kernel's most", `{"pids":{"limit":4194305}}`, []string{"pids.max=max ; TasksMax=max ; optional"}},
	{"pids without a limit", `{"pids":{}}`, nil},

	{"io weight", `{"blockIO":{"weight":500}}`, []string{
		"io.weight=default 4950 ; IOWeight=4950 ; or io.bfq.weight", "io.bfq.weight=default 500 ; optional"}},
	{"io weight by device", `{"blockIO":{"weightDevice":[{"major":8,"minor":16,"weight":1000},{"major":8,"minor":0,"weight":10}]}}`, []string{
		"io.weight=8:0 1 ; or io.bfq.weight", "io.bfq.weight=8:0 10 ; optional",
		"io.weight=8:16 10000 ; or io.bfq.weight", "io.bfq.weight=8:16 1000 ; optional",
		"IODeviceWeight=[{/dev/block/8:0 1} {/dev/block/8:16 10000}]"}},
	{"io throttles of a device are one line", `{"blockIO":{
		"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600},{"major":259,"minor":1,"rate":700}],
		"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":601}],
		"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":602}],
		"throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":603}]}}`, []string{
		"io.max=8:0 rbps=600 wbps=601 riops=602 wiops=603", "io.max=259:1 rbps=700",
		"IOReadBandwidthMax=[{/dev/block/8:0 600} {/dev/block/259:1 700}]",
		"IOWriteBandwidthMax=[{/dev/block/8:0 601}]",
		"IOReadIOPSMax=[{/dev/block/8:0 602}]",
		"IOWriteIOPSMax=[{/dev/block/8:0 603}]"}},
	{"io operations have 32 bits", `{"blockIO":{"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":4294967295}]}}`, []string{
		"io.max=8:0 riops=max", "IOReadIOPSMax=[{/dev/block/8:0 18446744073709551615}]"}},

	{"hugepages", `{"hugepageLimits":[{"pageSize":"2MB","limit":209715200},{"pageSize":"64KB","limit":1000000}]}`, []string{
		"hugetlb.2MB.max=209715200", "hugetlb.2MB.rsvd.max=209715200 ; optional",
		"hugetlb.64KB.max=983040", "hugetlb.64KB.rsvd.max=983040 ; optional"}},
	{"no hugepages", `{"hugepageLimits":[{"pageSize":"1GB","limit":0}]}`, []string{
		"hugetlb.1GB.max=0", "hugetlb.1GB.rsvd.max=0 ; optional"}},
	{"rdma", `{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000},"mlx4_0":{"hcaObjects":1000},"rxe3":{"hcaHandles":4294967295}}}`, []string{
		"rdma.max=mlx4_0 hca_object=1000", "rdma.max=mlx5_1 hca_handle=3 hca_object=10000", "rdma.max=rxe3 hca_handle=max"}},

	{"unified memory", `{"unified":{"memory.min":"4M","memory.low":"8192","memory.high":"1g","memory.max":"max","memory.swap.max":"0","memory.zswap.max":"5000","memory.swap.high":"max"}}`, []string{
		"memory.swap.high=max ; optional",
		"memory.swap.max=0 ; MemorySwapMax=0 ; optional",
		"memory.zswap.max=4096 ; MemoryZSwapMax=4096",
		"memory.min=4194304 ; MemoryMin=4194304",
		"memory.low=8192 ; MemoryLow=8192",
		"memory.high=1073741824 ; MemoryHigh=1073741824",
		"memory.max=max ; MemoryMax=max ; optional"}},
	{"unified oom group", `{"unified":{"memory.oom.group":"1"}}`, []string{"memory.oom.group=1"}},
	{"unified no oom group", `{"unified":{"memory.oom.group":" 0\n"}}`, []string{"memory.oom.group=0 ; optional"}},
	{"unified cpu", `{"unified":{"cpu.weight":"50","cpu.max":"12345","cpu.max.burst":"5000"}}`, []string{
		"cpu.weight=50 ; CPUWeight=50", "cpu.max=13000 100000 ; CPUQuotaPerSecUSec=130000", "cpu.max.burst=5000", "CPUQuotaPeriodUSec=100000"}},
	{"unified cpu.max max", `{"unified":{"cpu.max":"max 50000"}}`, []string{
		"cpu.max=max 50000 ; CPUQuotaPerSecUSec=max ; optional", "CPUQuotaPeriodUSec=50000"}},
	{"unified cpuset", `{"unified":{"cpuset.cpus":"0,1,2,3,64","cpuset.cpus.partition":"root"}}`, []string{
		"cpuset.cpus=0-3,64 ; AllowedCPUs=0f0000000000000001", "cpuset.cpus.partition=root"}},
	{"unified pids", `{"unified":{"pids.max":"12"}}`, []string{"pids.max=12 ; TasksMax=13"}},
	{"unified io", `{"unified":{"io.weight":"200","io.bfq.weight":"8:0 300","io.max":"8:16 rbps=2097152 wiops=max\n8:0 wbps=1\n","io.latency":"8:0 target=5000"}}`, []string{
		"io.weight=default 200 ; IOWeight=200", "io.bfq.weight=8:0 300",
		"io.max=8:0 wbps=1", "io.max=8:16 rbps=2097152 wiops=max",
		"io.latency=8:0 target=5000",
		"IOReadBandwidthMax=[{/dev/block/8:16 2097152}]", "IOWriteBandwidthMax=[{/dev/block/8:0 1}]",
		"IOWriteIOPSMax=[{/dev/block/8:16 18446744073709551615}]",
		"IODeviceLatencyTargetUSec=[{/dev/block/8:0 5000}]"}},
	{"unified hugetlb", `{"unified":{"hugetlb.2MB.max":"3M","hugetlb.2MB.rsvd.max":"max"}}`, []string{
		"hugetlb.2MB.max=2097152", "hugetlb.2MB.rsvd.max=max ; optional"}},
	{"unified others", `{"unified":{"misc.max":"res_a 3\nres_b max","cgroup.max.descendants":"10","cpu.uclamp.max":"50.00"}}`, []string{
		"cgroup.max.descendants=10", "cpu.uclamp.max=50.00", "misc.max=res_a 3", "misc.max=res_b max"}},

	{"unified replaces", `{"memory":{"limit":1048576,"swap":1048576},"cpu":{"quota":10000,"period":20000},"pids":{"limit":3},
		"rdma":{"a":{"hcaHandles":1}},"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}],"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":2}]},
		"unified":{"memory.swap.max":"8192","cpu.max":"50000","pids.max":"4","rdma.max":"b hca_handle=2","io.max":"8:0 rbps=9"}}`, []string{
		"cpu.max=50000 100000 ; CPUQuotaPerSecUSec=500000",
		"memory.swap.max=8192 ; MemorySwapMax=8192", "memory.max=1048576 ; MemoryMax=1048576",
		"pids.max=4 ; TasksMax=5", "rdma.max=b hca_handle=2", "io.max=8:0 rbps=9 wbps=2",
		"CPUQuotaPeriodUSec=100000",
		"IOReadBandwidthMax=[{/dev/block/8:0 9}]", "IOWriteBandwidthMax=[{/dev/block/8:0 2}]"}},
}

func TestSettings(t *testing.T) {
	for _, test := range settingsTests {
		t.Run(test.name, func(t *testing.T) {
			rows, err := Settings(resources(t, test.in), testPage)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, row := range rows {
				got = append(got, row.show())
				if row.Field == "" {
					t.Errorf("%s: no field", row.show())
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(test.want, "\n\t"))
			}
		})
	}
}

func TestSettingsRefused(t *testing.T) {
	tests := []struct {
		in     string
		fields []string
	}{
		{`{"memory":{"limit":4095}}`, []string{"memory.limit"}},
		{`{"memory":{"limit":-2,"reservation":-3}}`, []string{"memory.limit", "memory.reservation"}},
		{`{"memory":{"reservation":1}}`, []string{"memory.reservation"}},
		{`{"memory":{"swap":8192}}`, []string{"memory.swap"}},
		{`{"memory":{"limit":-1,"swap":8192}}`, []string{"memory.swap"}},
		{`{"memory":{"limit":8192,"swap":4096}}`, []string{"memory.swap"}},
		{`{"memory":{"limit":8192,"swap":8193}}`, []string{"memory.swap"}},
		{`{"memory":{"limit":8192,"swap":-2}}`, []string{"memory.swap"}},
		{`{"cpu":{"quota":-2}}`, []string{"cpu.quota"}},
		{`{"cpu":{"quota":1000,"period":999}}`, []string{"cpu.quota"}},
		{`{"cpu":{"period":1000001}}`, []string{"cpu.period"}},
		{`{"cpu":{"quota":500,"period":10000}}`, []string{"cpu.quota"}},
		{`{"cpu":{"quota":17592186044416}}`, []string{"cpu.quota"}},
		{`{"cpu":{"quota":9223372036854775807}}`, []string{"cpu.quota"}},
		{`{"cpu":{"quota":50000,"burst":50001}}`, []string{"cpu.burst"}},
		{`{"cpu":{"burst":18446744073709551615}}`, []string{"cpu.burst"}},
		{`{"cpu":{"idle":2}}`, []string{"cpu.idle"}},
		{`{"cpu":{"cpus":"3-1","mems":"x"}}`, []string{"cpu.cpus", "cpu.mems"}},
		{`{"pids":{"limit":-2}}`, []string{"pids.limit"}},
		{`{"blockIO":{"weight":9}}`, []string{"blockIO.weight"}},
		{`{"blockIO":{"weight":1001}}`, []string{"blockIO.weight"}},
		{`{"blockIO":{"weightDevice":[{"major":-1,"minor":0,"weight":100},{"major":8,"minor":0,"weight":1}]}}`, []string{"blockIO.weightDevice[0]", "blockIO.weightDevice[1].weight"}},
		{`{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":0}]}}`, []string{"blockIO.throttleReadBpsDevice[0].rate"}},
		{`{"blockIO":{"throttleWriteIOPSDevice":[{"major":4096,"minor":0,"rate":1}]}}`, []string{"blockIO.throttleWriteIOPSDevice[0]"}},
		{`{"hugepageLimits":[{"pageSize":"../../x","limit":0}]}`, []string{"hugepageLimits[0].pageSize"}},
		{`{"hugepageLimits":[{"pageSize":"2MB","limit":4096}]}`, []string{"hugepageLimits[0].limit", "hugepageLimits[0].limit"}},
		{`{"rdma":{"a b":{"hcaHandles":1},"c":{}}}`, []string{`rdma["a b"]`, `rdma["c"]`}},
		{`{"unified":{"../memory.max":"1M"}}`, []string{`unified["../memory.max"]`}},
		{`{"unified":{"memory..max":"1M","memory":"1","memory.":"1",".max":"1","x/y.z":"1","a.b\n":"1"}}`, []string{
			`unified[".max"]`, `unified["a.b\n"]`, `unified["memory"]`, `unified["memory."]`, `unified["memory..max"]`, `unified["x/y.z"]`}},
		{`{"unified":{"cgroup.procs":"1","cgroup.kill":"1","cgroup.freeze":"1","cgroup.subtree_control":"+cpu","cgroup.type":"threaded","cgroup.threads":"1"}}`, []string{
			`unified["cgroup.freeze"]`, `unified["cgroup.kill"]`, `unified["cgroup.procs"]`, `unified["cgroup.subtree_control"]`, `unified["cgroup.threads"]`, `unified["cgroup.type"]`}},
		{`{"unified":{"memory.max":"","memory.high":" \n"}}`, []string{`unified["memory.high"]`, `unified["memory.max"]`}},
		{`{"unified":{"memory.max":"0"}}`, []string{`unified["memory.max"]`}},
		{`{"unified":{"memory.max":"010"}}`, []string{`unified["memory.max"]`}},
		{`{"unified":{"memory.max":"0x1000"}}`, []string{`unified["memory.max"]`}},
		{`{"unified":{"memory.max":"16E"}}`, []string{`unified["memory.max"]`}},
		{`{"unified":{"memory.max":"maxK"}}`, []string{`unified["memory.max"]`}},
		{`{"unified":{"memory.max":"1M\n2M"}}`, []string{`unified["memory.max"]`}},
		{`{"unified":{"misc.max":"a\u0000b"}}`, []string{`unified["misc.max"]`}},
		{`{"unified":{"cpu.weight":"0","cpu.max":"1 2 3","cpu.idle":"x","memory.oom.group":"2"}}`, []string{
			`unified["cpu.idle"]`, `unified["cpu.max"]`, `unified["cpu.weight"]`, `unified["memory.oom.group"]`}},
		{`{"unified":{"cpu.max":"50000 0"}}`, []string{`unified["cpu.max"]`}},
		{`{"unified":{"cpu.weight":"max"}}`, []string{`unified["cpu.weight"]`}},
		{`{"unified":{"io.max":"8:0\n8:0 rbps=x\n8 rbps=1\n8:0 foo=1\n8:0 rbps=0"}}`, []string{
			`unified["io.max"]`, `unified["io.max"]`, `unified["io.max"]`, `unified["io.max"]`, `unified["io.max"]`}},
		{`{"unified":{"io.weight":"default","io.bfq.weight":"8:0 1001"}}`, []string{`unified["io.bfq.weight"]`, `unified["io.weight"]`}},
		{`{"unified":{"io.latency":"8:0 target=0"}}`, []string{`unified["io.latency"]`}},
		{`{"unified":{"cpu.max":"50%","pids.max":"many","io.weight":"x:0 100"}}`, []string{`unified["cpu.max"]`, `unified["io.weight"]`, `unified["pids.max"]`}},
		{`{"unified":{"cpu.max":"50000 x","hugetlb.2MB.max":"x"}}`, []string{`unified["cpu.max"]`, `unified["hugetlb.2MB.max"]`}},
		{`{"unified":{"cpu.max.burst":"max","pids.max":"-1"}}`, []string{`unified["cpu.max.burst"]`, `unified["pids.max"]`}},
		{`{"unified":{"hugetlb.x.max":"1"}}`, []string{`unified["hugetlb.x.max"]`}},
	}
	for _, test := range tests {
		rows, err := Settings(resources(t, test.in), testPage)
		var got []string
		for err := range joined(err) {
			var limit *LimitError
			if !errors.As(err, &limit) {
				t.Errorf("%s: %v is not a LimitError", test.in, err)
				continue
			}
			got = append(got, strings.TrimPrefix(limit.Field, "linux.resources."))
		}
		if rows != nil || !slices.Equal(got, test.fields) {
			t.Errorf("%s: refused %q (%v), want %q", test.in, got, err, test.fields)
		}
	}
}

func TestLimitError(t *testing.T) {
	_, err := Settings(resources(t, `{"memory":{"limit":100}}`), testPage)
	const want = "linux.resources.memory.limit: 100 bytes are less than a page, which has 4096"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// joined gives the errors that errors.Join put together.
func joined(err error) func(func(error) bool) {
	return func(yield func(error) bool) {
		if list, ok := err.(interface{ Unwrap() []error }); ok {
			for _, err := range list.Unwrap() {
				if !yield(err) {
					return
				}
			}
		} else if err != nil {
			yield(err)
		}
	}
}

func TestSettingsPageSize(t *testing.T) {
	r := resources(t, `{"memory":{"limit":100000}}`)
	rows, err := Settings(r, 65536)
	if err != nil || len(rows) != 1 || rows[0].Value != "65536" || rows[0].Variant != uint64(65536) {
		t.Errorf("64 KiB pages: %+v, %v", rows, err)
	}
	for _, size := range []int{0, -4096, 3000} {
		if _, err := Settings(r, size); err == nil {
			t.Errorf("page size %d was taken", size)
		}
	}
	if rows, err := Settings(nil, testPage); rows != nil || err != nil {
		t.Errorf("nil: %v, %v", rows, err)
	}
}

func TestControllers(t *testing.T) {
	rows, err := Settings(resources(t, `{"memory":{"limit":-1},"cpu":{"quota":50000,"cpus":"0"},"pids":{"limit":0},
		"unified":{"cgroup.max.depth":"3","memory.swap.max":"0"}}`), testPage)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := Controllers(rows), []string{"cpu", "cpuset", "memory", "pids"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	rows, err = Settings(resources(t, `{"memory":{"limit":-1},"cpu":{"quota":-1,"burst":0,"idle":0},"pids":{"limit":-1}}`), testPage)
	if err != nil {
		t.Fatal(err)
	}
	if got := Controllers(rows); len(got) != 0 {
		t.Errorf("no limit needs %q", got)
	}
}

func TestWeightOfShares(t *testing.T) {
	// Computed with 60 digits from 10^((log₂²s + 125·log₂s)/612 − 7/34), rounded up.
	want := map[uint64]uint64{
		0: 1, 1: 1, 2: 1, 3: 2, 4: 2, 10: 4, 50: 10, 100: 17, 128: 21, 256: 35, 512: 59, 1000: 99,
		1023: 100, 1024: 100, 1025: 101, 2048: 174, 4096: 303, 10240: 639, 65536: 3023, 100000: 4340,
		131072: 5478, 262143: 10000, 262144: 10000, 262145: 10000, math.MaxUint64: 10000,
	}
	for shares, weight := range want {
		if got := weightOfShares(shares); got != weight {
			t.Errorf("%d shares: weight %d, want %d", shares, got, weight)
		}
	}
	last := uint64(1)
	for shares := uint64(2); shares <= 262144; shares++ {
		weight := weightOfShares(shares)
		if weight < last || weight > 10000 {
			t.Fatalf("%d shares: weight %d after %d", shares, weight, last)
		}
		last = weight
	}
}

// checkQuota holds the promise of one rounded quota: the file is what systemd
// writes from the properties, both before and after it has kept them as whole
// percent; it is not below the request, and not a percent of a second above.
func checkQuota(t *testing.T, quota, period uint64) {
	t.Helper()
	perSec, rounded, err := roundQuota(quota, period)
	if err != nil {
		if exact := float64(quota) / float64(period); exact*float64(period) >= 1000 && quota <= maxQuota-period {
			t.Errorf("%d/%d is refused: %v", quota, period, err)
		}
		return
	}
	if perSec%10000 != 0 {
		t.Errorf("%d/%d: %d µs a second are not whole percent", quota, period, perSec)
	}
	if systemd := max(perSec*period/1_000_000, 1000); systemd != rounded {
		t.Errorf("%d/%d: systemd writes %d, the leaf has %d", quota, period, systemd, rounded)
	}
	if adjusted := min(max(period, 1000, 1000*1_000_000/perSec), 1_000_000); adjusted != period {
		t.Errorf("%d/%d: systemd lengthens the period to %d", quota, period, adjusted)
	}
	if rounded < quota || rounded-quota > period/100+1 {
		t.Errorf("%d/%d: rounded to %d", quota, period, rounded)
	}
	if again, same, err := roundQuota(rounded, period); err != nil || again != perSec || same != rounded {
		t.Errorf("%d/%d: %d rounds again to %d (%d a second, was %d), %v", quota, period, rounded, same, again, perSec, err)
	}
}

func TestRoundQuota(t *testing.T) {
	for _, period := range []uint64{1000, 1001, 3333, 9999, 10000, 33333, 50000, 99999, 100000, 123457, 999999, 1000000} {
		for quota := uint64(1); quota < 4*period; quota += 1 + period/997 {
			checkQuota(t, quota, period)
		}
		for _, quota := range []uint64{maxQuota, maxQuota - 1, maxQuota / 2, 1 << 40} {
			checkQuota(t, quota, period)
		}
	}
}

func FuzzRoundQuota(f *testing.F) {
	f.Add(uint64(50000), uint64(100000))
	f.Add(uint64(maxQuota), uint64(1000000))
	f.Fuzz(func(t *testing.T, quota, period uint64) {
		checkQuota(t, max(quota, 1), minPeriod+period%(maxPeriod-minPeriod+1))
	})
}

func TestParseList(t *testing.T) {
	tests := []struct{ in, mask, out string }{
		{"0", "01", "0"},
		{"0-3", "0f", "0-3"},
		{"0,2,4-6", "75", "0,2,4-6"},
		{"7", "80", "7"},
		{"8", "0001", "8"},
		{"0-7,8-15", "ffff", "0-15"},
		{"64", "000000000000000001", "64"},
		{"63-65", "000000000000008003", "63-65"},
		{"3,1,2,0", "0f", "0-3"},
		{"1-1", "02", "1"},
		{" 1,2\n", "06", "1-2"},
		{"1,1-3,2", "0e", "1-3"},
		{"0,31", "01000080", "0,31"},
	}
	for _, test := range tests {
		mask, err := parseList(test.in, maxCPUs)
		if err != nil || fmt.Sprintf("%x", mask) != test.mask || formatList(mask) != test.out {
			t.Errorf("%q: %x, %q, %v; want %s, %q", test.in, mask, formatList(mask), err, test.mask, test.out)
		}
	}
	for _, bad := range []string{"", " ", ",", "1,", "-1", "1-", "-", "a", "1-2-3", "3-1", "0-7:1/2", "0x1", "+1", "8192", "99999999999999999999", "1, 2", "all"} {
		if mask, err := parseList(bad, maxCPUs); err == nil {
			t.Errorf("%q: %x", bad, mask)
		}
	}
}

func FuzzParseList(f *testing.F) {
	for _, seed := range []string{"0-3", "0,2,4-6", "63-65", "8191", "1,,2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		mask, err := parseList(text, maxCPUs)
		if err != nil {
			return
		}
		if len(mask) == 0 || mask[len(mask)-1] == 0 || len(mask) > maxCPUs/8 {
			t.Fatalf("%q: mask %x", text, mask)
		}
		again, err := parseList(formatList(mask), maxCPUs)
		if err != nil || !slices.Equal(again, mask) {
			t.Fatalf("%q: %x became %x, %v", text, mask, again, err)
		}
	})
}

func TestParseSize(t *testing.T) {
	good := map[string]uint64{
		"0": 0, "1": 1, "4096": 4096, "1k": 1024, "1K": 1024, "256M": 268435456, "1g": 1 << 30, "2T": 2 << 40,
		"3p": 3 << 50, "15E": 15 << 60, "max": noLimit, "18446744073709551615": noLimit,
	}
	for text, want := range good {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "K", "-1", "+1", "1KB", "1 K", "1.5G", "0x10", "08", "16E", "18446744073709551616", "MAX", "maxM", "1Z", "1Ki"} {
		if got, err := parseSize(bad); err == nil {
			t.Errorf("%q: %d", bad, got)
		}
	}
}

// FuzzSettings looks for what could reach the kernel from any request.
func FuzzSettings(f *testing.F) {
	for _, test := range settingsTests {
		f.Add([]byte(test.in))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := new(specs.LinuxResources)
		if json.Unmarshal(text, r) != nil {
			return
		}
		rows, err := Settings(r, testPage)
		if err != nil && rows != nil {
			t.Fatal("rows and an error")
		}
		for _, row := range rows {
			if row.Field == "" || row.File == "" && row.Property == "" || (row.Property == "") != (row.Variant == nil) {
				t.Fatalf("incomplete: %+v", row)
			}
			if strings.ContainsAny(row.File, "/\n\x00") || strings.Contains(row.File, "..") || containmentFile(row.File) {
				t.Fatalf("file %q", row.File)
			}
			if row.File != "" && (strings.TrimSpace(row.Value) == "" || strings.ContainsAny(row.Value, "\n\x00")) {
				t.Fatalf("%s: value %q", row.File, row.Value)
			}
		}
	})
}
