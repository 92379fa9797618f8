package cgroups

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A device is the number of a block device.
type device struct{ major, minor uint32 }

func (d device) String() string { return fmt.Sprintf("%d:%d", d.major, d.minor) }

// path is the device as systemd wants it, by path; udev makes these links.
func (d device) path() string { return "/dev/block/" + d.String() }

// ioLimits gathers the limits on block I/O by device, because OCI lists them
// by kind and io.max has all kinds of a device in one line.
type ioLimits struct {
	weight ioWeight
	of     map[device]*ioDevice
}

// ioDevice is what is asked for one device; 0 is not asked.
type ioDevice struct {
	weight   ioWeight
	rates    [4]uint64 // in the order of ioRates
	ratesAt  string    // the field that asked first
	latency  uint64    // µs
	latentAt string
}

// ioWeight is one weight in both files: io.weight, which the iocost controller
// provides, and io.bfq.weight, which the BFQ scheduler does. A kernel can have
// both, one or none, so that each is the other's alternative.
type ioWeight struct {
	field   string
	io, bfq uint64
}

// ioRates are io.max's keys and systemd's properties for them.
var ioRates = [4]struct{ key, property string }{
	{"rbps", "IOReadBandwidthMax"},
	{"wbps", "IOWriteBandwidthMax"},
	{"riops", "IOReadIOPSMax"},
	{"wiops", "IOWriteIOPSMax"},
}

func (l *ioLimits) device(d device) *ioDevice {
	if l.of == nil {
		l.of = make(map[device]*ioDevice)
	}
	if l.of[d] == nil {
		l.of[d] = new(ioDevice)
	}
	return l.of[d]
}

func (c *converter) blockIO(r *specs.LinuxBlockIO) {
	if r == nil {
		return
	}
	const at = "linux.resources.blockIO."
	if w := value(r.Weight); w != 0 {
		c.blkioWeight(at+"weight", &c.io.weight, w)
	}
	for i, entry := range r.WeightDevice {
		field := fmt.Sprintf("%sweightDevice[%d]", at, i)
		if d, ok := c.blockDevice(field, entry.LinuxBlockIODevice); ok && value(entry.Weight) != 0 {
			c.blkioWeight(field+".weight", &c.io.device(d).weight, *entry.Weight)
		}
	}
	kinds := [4]struct {
		name    string
		entries []specs.LinuxThrottleDevice
	}{
		{"throttleReadBpsDevice", r.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", r.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", r.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", r.ThrottleWriteIOPSDevice},
	}
	for kind, list := range kinds {
		for i, entry := range list.entries {
			field := fmt.Sprintf("%s%s[%d]", at, list.name, i)
			if d, ok := c.blockDevice(field, entry.LinuxBlockIODevice); ok {
				c.ioRate(field+".rate", d, kind, entry.Rate)
			}
		}
	}
}

// blockDevice checks the range of a device number: 12 and 20 bits (Linux dev_t).
func (c *converter) blockDevice(field string, d specs.LinuxBlockIODevice) (device, bool) {
	if d.Major < 0 || d.Major >= 1<<12 || d.Minor < 0 || d.Minor >= 1<<20 {
		c.refuse(field, "%d:%d is not a device number", d.Major, d.Minor)
		return device{}, false
	}
	return device{uint32(d.Major), uint32(d.Minor)}, true
}

// blkioWeight records one of OCI's weights, cgroup v1's 10..1000: BFQ still has
// that scale, and io.weight's is 1..10000.
func (c *converter) blkioWeight(field string, to *ioWeight, weight uint16) {
	if weight < 10 || weight > 1000 {
		c.refuse(field, "weight %d is not in 10..1000", weight)
		return
	}
	*to = ioWeight{field: field, io: 1 + (uint64(weight)-10)*9999/990, bfq: uint64(weight)}
}

// ioRate records one limit of io.max.
func (c *converter) ioRate(field string, d device, kind int, rate uint64) {
	if rate == 0 {
		c.refuse(field, "a rate of 0 is refused by the kernel (ERANGE)")
		return
	}
	// The kernel keeps operations a second in 32 bits, all ones as "max".
	if kind >= 2 && rate >= math.MaxUint32 {
		rate = noLimit
	}
	dev := c.io.device(d)
	dev.rates[kind] = rate
	if dev.ratesAt == "" {
		dev.ratesAt = field
	}
}

// unifiedIOMax records lines of io.max, "8:16 rbps=1048576 wiops=max".
func (c *converter) unifiedIOMax(field, text string) {
	c.deviceLines(field, text, func(d device, key string, n uint64) error {
		for kind, rate := range ioRates {
			if rate.key == key {
				c.ioRate(field, d, kind, n)
				return nil
			}
		}
		return fmt.Errorf("io.max has no key %q", key)
	})
}

// unifiedIOLatency records lines of io.latency, "8:16 target=5000".
func (c *converter) unifiedIOLatency(field, text string) {
	c.deviceLines(field, text, func(d device, key string, n uint64) error {
		if key != "target" || n == 0 || n == noLimit {
			return errors.New("io.latency has only target, in µs from 1")
		}
		dev := c.io.device(d)
		dev.latency, dev.latentAt = n, field
		return nil
	})
}

// deviceLines reads "MAJOR:MINOR KEY=VALUE…" lines.
func (c *converter) deviceLines(field, text string, use func(d device, key string, n uint64) error) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		d, err := parseDevice(words[0])
		if err == nil && len(words) == 1 {
			err = errors.New("nothing is limited")
		}
		for _, word := range words[1:] {
			if err != nil {
				break
			}
			key, number, ok := strings.Cut(word, "=")
			var n uint64
			if n, err = parseLimit(number); !ok || err != nil {
				err = fmt.Errorf("%q is not KEY=NUMBER", word)
				break
			}
			err = use(d, key, n)
		}
		if err != nil {
			c.refuse(field, "line %q: %w", strings.TrimSpace(line), err)
		}
	}
}

// unifiedIOWeight records lines of io.weight or io.bfq.weight: "default N",
// "N" or "MAJOR:MINOR N".
func (c *converter) unifiedIOWeight(field, file, text string) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		to := &c.io.weight
		if len(words) == 2 && words[0] != "default" {
			d, err := parseDevice(words[0])
			if err != nil {
				c.refuse(field, "%w", err)
				continue
			}
			to = &c.io.device(d).weight
		}
		most := uint64(10000)
		if file == "io.bfq.weight" {
			most = 1000
		}
		if len(words) == 0 {
			continue
		}
		n, err := parseLimit(words[len(words)-1])
		if len(words) > 2 || err != nil || n < 1 || n > most {
			c.refuse(field, "line %q is not a weight in 1..%d", strings.TrimSpace(line), most)
			continue
		}
		to.field = field
		if file == "io.bfq.weight" {
			to.bfq = n
		} else {
			to.io = n
		}
	}
}

func parseDevice(text string) (device, error) {
	major, minor, ok := strings.Cut(text, ":")
	a, errMajor := strconv.ParseUint(major, 10, 12)
	b, errMinor := strconv.ParseUint(minor, 10, 20)
	if !ok || errMajor != nil || errMinor != nil {
		return device{}, fmt.Errorf("%q is not a device number MAJOR:MINOR", text)
	}
	return device{uint32(a), uint32(b)}, nil
}
