package cgroups

import (
	"cmp"
	"fmt"
	"slices"
)

// finishIO turns what was gathered into rows: a file line for each device, and
// a property for each kind with all devices.
func (c *converter) finishIO() {
	devices := make([]device, 0, len(c.io.of))
	for d := range c.io.of {
		devices = append(devices, d)
	}
	slices.SortFunc(devices, func(a, b device) int {
		return cmp.Or(cmp.Compare(a.major, b.major), cmp.Compare(a.minor, b.minor))
	})
	c.weightRows(devices)
	c.rateRows(devices)
	var targets []DeviceValue
	for _, d := range devices {
		if dev := c.io.of[d]; dev.latency != 0 {
			c.add(Setting{Field: dev.latentAt, File: "io.latency", Value: fmt.Sprintf("%s target=%d", d, dev.latency)})
			targets = append(targets, DeviceValue{d.path(), dev.latency})
		}
	}
	c.deviceProperty("IODeviceLatencyTargetUSec", targets)
}

func (c *converter) weightRows(devices []device) {
	c.weightRow("default", c.io.weight, true)
	var weights []DeviceValue
	for _, d := range devices {
		w := c.io.of[d].weight
		c.weightRow(d.String(), w, false)
		if w.io != 0 {
			weights = append(weights, DeviceValue{d.path(), w.io})
		}
	}
	c.deviceProperty("IODeviceWeight", weights)
}

// weightRow adds the file rows of one weight. systemd derives the unit's
// io.bfq.weight from IOWeight by a map of its own; the leaf's is what was asked.
func (c *converter) weightRow(key string, w ioWeight, property bool) {
	if w.io != 0 {
		s := Setting{Field: w.field, File: "io.weight", Value: key + " " + formatLimit(w.io)}
		if property {
			s.Property, s.Variant = "IOWeight", w.io
		}
		if w.bfq != 0 {
			s.Alternative = "io.bfq.weight"
		}
		c.add(s)
	}
	if w.bfq != 0 {
		c.add(Setting{
			Field: w.field, File: "io.bfq.weight", Value: key + " " + formatLimit(w.bfq),
			Optional: w.io != 0, // then io.weight's row is the one that must not be lost
		})
	}
}

func (c *converter) rateRows(devices []device) {
	var limits [len(ioRates)][]DeviceValue
	for _, d := range devices {
		dev := c.io.of[d]
		line := d.String()
		for kind, rate := range dev.rates {
			if rate != 0 {
				line += " " + ioRates[kind].key + "=" + formatLimit(rate)
				limits[kind] = append(limits[kind], DeviceValue{d.path(), rate})
			}
		}
		if dev.ratesAt != "" {
			c.add(Setting{Field: dev.ratesAt, File: "io.max", Value: line})
		}
	}
	for kind, list := range limits {
		c.deviceProperty(ioRates[kind].property, list)
	}
}

func (c *converter) deviceProperty(name string, list []DeviceValue) {
	if len(list) > 0 {
		c.add(Setting{Field: "linux.resources.blockIO", Controller: "io", Property: name, Variant: list})
	}
}
