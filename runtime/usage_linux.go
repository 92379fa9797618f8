package runtime

import (
	"math"

	"golang.org/x/sys/unix"
)

// peakRSS is the most memory that this process had, in bytes.
func peakRSS() uint64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return math.MaxUint64 // so that nothing is larger
	}
	return uint64(u.Maxrss) * 1024 // getrusage(2): kilobytes
}
