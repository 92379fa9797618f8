package spec

// Stats are the measured counters of a whole process tree. A nil section or
// number was not measured; Unmeasured says why. Times are microseconds, sizes
// are bytes.
type Stats struct {
	CPU      *CPUStats      `json:"cpu"`
	Memory   *MemoryStats   `json:"memory"`
	Pids     *PidsStats     `json:"pids"`
	IO       *IOStats       `json:"io"`
	Pressure *PressureStats `json:"pressure"`

	// Sources names the kernel file or system call behind each number that is
	// present, by the number's JSON path below stats: "memory.peak": "memory.peak".
	Sources map[string]string `json:"sources"`
	// Unmeasured gives the reason for each number that is null, by JSON path
	// of the number or of its whole section.
	Unmeasured map[string]string `json:"unmeasured,omitempty"`
}

// CPUStats is processor time, from cpu.stat.
type CPUStats struct {
	UsageUsec     *uint64 `json:"usageUsec"`
	UserUsec      *uint64 `json:"userUsec"`
	SystemUsec    *uint64 `json:"systemUsec"`
	Periods       *uint64 `json:"periods"`       // enforcement intervals that elapsed
	Throttled     *uint64 `json:"throttled"`     // of these, how many were cut short by the quota
	ThrottledUsec *uint64 `json:"throttledUsec"` // time spent throttled
}

// MemoryStats is memory use, from memory.*.
type MemoryStats struct {
	Current     *uint64       `json:"current"`
	Peak        *uint64       `json:"peak"`
	SwapCurrent *uint64       `json:"swapCurrent"`
	SwapPeak    *uint64       `json:"swapPeak"`
	Events      *MemoryEvents `json:"events"`
}

// MemoryEvents is memory.events: how often each memory limit acted.
type MemoryEvents struct {
	Low          *uint64 `json:"low"`
	High         *uint64 `json:"high"`
	Max          *uint64 `json:"max"`
	OOM          *uint64 `json:"oom"`
	OOMKill      *uint64 `json:"oomKill"`
	OOMGroupKill *uint64 `json:"oomGroupKill"`
}

// PidsStats is the number of tasks, from pids.*.
type PidsStats struct {
	Current *uint64 `json:"current"`
	Peak    *uint64 `json:"peak"`
	Refused *uint64 `json:"refused"` // forks that the limit refused
}

// IOStats is block I/O summed over all devices, from io.stat.
type IOStats struct {
	ReadBytes  *uint64    `json:"readBytes"`
	WriteBytes *uint64    `json:"writeBytes"`
	Reads      *uint64    `json:"reads"`
	Writes     *uint64    `json:"writes"`
	Devices    []IODevice `json:"devices,omitempty"`
}

// IODevice is one line of io.stat.
type IODevice struct {
	Device     string `json:"device"` // "major:minor"
	ReadBytes  uint64 `json:"readBytes"`
	WriteBytes uint64 `json:"writeBytes"`
	Reads      uint64 `json:"reads"`
	Writes     uint64 `json:"writes"`
}

// PressureStats is pressure stall information, from cpu.pressure,
// memory.pressure and io.pressure.
type PressureStats struct {
	CPU    *Pressure `json:"cpu"`
	Memory *Pressure `json:"memory"`
	IO     *Pressure `json:"io"`
}

// Pressure is one *.pressure file. Full is nil where the kernel does not give it.
type Pressure struct {
	Some *PressureLine `json:"some"`
	Full *PressureLine `json:"full"`
}

// PressureLine is the share of time that some, or all, tasks were stalled:
// three averages in percent and the total.
type PressureLine struct {
	Avg10     float64 `json:"avg10"`
	Avg60     float64 `json:"avg60"`
	Avg300    float64 `json:"avg300"`
	TotalUsec uint64  `json:"totalUsec"`
}
