package spec

import (
	"maps"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// blockIO checks weights and rates for each device.
func (v *validator) blockIO(b *specs.LinuxBlockIO) {
	const path = resources + ".blockIO"
	if b.Weight != nil && *b.Weight != 0 { // Docker writes 0 for "not set"
		v.weight(path+".weight", *b.Weight)
	}
	var seen devices
	for i, d := range b.WeightDevice {
		at := item(path+".weightDevice", i)
		v.device(at, d.LinuxBlockIODevice, &seen)
		switch {
		case d.Weight != nil:
			v.weight(at+".weight", *d.Weight)
		case d.LeafWeight == nil:
			v.bad(at+".weight", "missing: there is nothing to set for the device")
		}
	}
	v.throttle(path+".throttleReadBpsDevice", b.ThrottleReadBpsDevice)
	v.throttle(path+".throttleWriteBpsDevice", b.ThrottleWriteBpsDevice)
	v.throttle(path+".throttleReadIOPSDevice", b.ThrottleReadIOPSDevice)
	v.throttle(path+".throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice)
}

// weight: OCI keeps the range of cgroup v1's blkio.weight.
func (v *validator) weight(path string, w uint16) {
	if w < 10 || w > 1000 {
		v.bad(path, "%d is out of range: 10 to 1000", w)
	}
}

// throttle: io.max refuses a rate of 0 with ERANGE (block/blk-throttle.c).
func (v *validator) throttle(path string, list []specs.LinuxThrottleDevice) {
	var seen devices
	for i, d := range list {
		v.device(item(path, i), d.LinuxBlockIODevice, &seen)
		if d.Rate == 0 {
			v.bad(item(path, i)+".rate", "0 would stop the device; leave it out for no limit")
		}
	}
}

type devices []specs.LinuxBlockIODevice

// device checks a device number, 12 bits and 20 bits (include/linux/kdev_t.h),
// and that its list has it only once.
func (v *validator) device(path string, d specs.LinuxBlockIODevice, seen *devices) {
	const mostMajor, mostMinor = 1<<12 - 1, 1<<20 - 1
	if d.Major < 0 || d.Major > mostMajor {
		v.bad(path+".major", "%d is out of range: 0 to %d", d.Major, mostMajor)
	}
	if d.Minor < 0 || d.Minor > mostMinor {
		v.bad(path+".minor", "%d is out of range: 0 to %d", d.Minor, mostMinor)
	}
	if slices.Contains(*seen, d) {
		v.bad(path, "device %d:%d is given twice", d.Major, d.Minor)
	}
	*seen = append(*seen, d)
}

// hugepages: pageSize becomes part of a file name, so it is held to the letter
// of the format (runc#4103 was a path traversal).
func (v *validator) hugepages(limits []specs.LinuxHugepageLimit) {
	var seen []string
	for i, l := range limits {
		path := item(resources+".hugepageLimits", i) + ".pageSize"
		switch {
		case !isPageSize(l.Pagesize):
			v.bad(path, "%s is not a page size such as 64KB, 2MB or 1GB", clip(l.Pagesize))
		case slices.Contains(seen, l.Pagesize):
			v.bad(path, "%s is given twice", l.Pagesize)
		}
		seen = append(seen, l.Pagesize)
	}
}

// isPageSize is ^[1-9][0-9]{0,8}[KMG]B$.
func isPageSize(s string) bool {
	number, ok := strings.CutSuffix(s, "B")
	if !ok || len(number) < 2 || len(number) > 10 || !strings.ContainsRune("KMG", rune(number[len(number)-1])) {
		return false
	}
	number = number[:len(number)-1]
	return number != "0" && isNumber(number)
}

// rdma: the device's name begins a line of KEY=VALUE in rdma.max. "You MUST
// specify at least one" of the two limits (config-linux.md).
func (v *validator) rdma(limits map[string]specs.LinuxRdma) {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		path, l := member(resources+".rdma", name), limits[name]
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '/' || r == '=' || r == 0x7f }) {
			v.bad(path, "%s is not the name of an RDMA device", clip(name))
		}
		if l.HcaHandles == nil && l.HcaObjects == nil {
			v.bad(path, "neither hcaHandles nor hcaObjects is given")
		}
	}
}
