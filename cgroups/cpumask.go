package cgroups

// CPUMask reads a list of CPUs such as "0-3,7" to a bit mask: CPU n is bit n%8
// of byte n/8.
func CPUMask(list string) ([]byte, error) { return parseList(list, maxCPUs) }
