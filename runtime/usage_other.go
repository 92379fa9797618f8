//go:build !linux

package runtime

func peakRSS() uint64 { return 0 }
