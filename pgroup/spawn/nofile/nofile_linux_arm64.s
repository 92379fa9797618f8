#include "textflag.h"

// func rlimitNofile(old *[2]uint64) uintptr
TEXT ·rlimitNofile(SB), NOSPLIT, $0-16
	MOVD $0, R0          // this process
	MOVD $7, R1          // RLIMIT_NOFILE
	MOVD $0, R2          // no new limit
	MOVD old+0(FP), R3
	MOVD $261, R8        // prlimit64
	SVC
	MOVD R0, ret+8(FP)
	RET
