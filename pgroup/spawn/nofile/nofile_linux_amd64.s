#include "textflag.h"

// func rlimitNofile(old *[2]uint64) uintptr
TEXT ·rlimitNofile(SB), NOSPLIT, $0-16
	MOVL $0, DI          // this process
	MOVL $7, SI          // RLIMIT_NOFILE
	MOVL $0, DX          // no new limit
	MOVQ old+0(FP), R10
	MOVL $302, AX        // prlimit64
	SYSCALL
	MOVQ AX, ret+8(FP)
	RET
