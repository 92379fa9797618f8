package spec

import (
	"fmt"
	"math"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// process checks the workload's first process.
func (v *validator) process() {
	p := v.spec.Process
	if p == nil {
		v.bad("process", "missing: there is nothing to run")
		return
	}
	v.args(p.Args)
	v.env(p.Env)
	v.cwd(p.Cwd)
	if !v.spec.InheritUser {
		v.user(&p.User)
	}
	v.rlimits(p.Rlimits)
	if p.Capabilities != nil {
		v.capabilities(p)
	}
	if adj := p.OOMScoreAdj; adj != nil && (*adj < -1000 || *adj > 1000) { // proc_pid_oom_score_adj(5)
		v.bad("process.oomScoreAdj", "%d is out of range: -1000 to 1000", *adj)
	}
	if p.Scheduler != nil {
		v.scheduler(p.Scheduler)
	}
	if p.IOPriority != nil {
		v.ioPriority(p.IOPriority)
	}
	if a := p.ExecCPUAffinity; a != nil {
		v.list("process.execCPUAffinity.initial", a.Initial, maxCPU)
		v.list("process.execCPUAffinity.final", a.Final, maxCPU)
	}
}

func (v *validator) args(args []string) {
	const path = "process.args"
	switch {
	case args == nil:
		v.bad(path, "missing: there is nothing to run")
	case len(args) == 0:
		v.bad(path, "empty: there is nothing to run")
	case args[0] == "":
		v.bad(item(path, 0), "the name of the program is empty")
	}
	for i, a := range args {
		v.noNUL(path, i, a)
	}
}

// noNUL: what goes through execve(2) is a C string, which a NUL would cut off.
func (v *validator) noNUL(list string, i int, s string) {
	if strings.IndexByte(s, 0) >= 0 {
		v.bad(item(list, i), "%s has a NUL character", clip(s))
	}
}

// env checks NAME=VALUE. Twice the same name is a problem because it depends
// on the program which one counts: getenv(3) takes the first, shells the last.
func (v *validator) env(env []string) {
	const path = "process.env"
	first := make(map[string]int, len(env))
	for i, e := range env {
		v.noNUL(path, i, e)
		name, _, ok := cutEnv(e)
		switch {
		case !ok:
			v.bad(item(path, i), "%s is not NAME=VALUE", clip(e))
			continue
		case name == "":
			v.bad(item(path, i), "%s has no name before the =", clip(e))
			continue
		}
		if j, again := first[name]; !again {
			first[name] = i
		} else if env[j] != e {
			v.soft(item(path, i), "%s is set before, by %s, to something else", clip(name), item(path, j))
		}
	}
}

// cutEnv splits a variable. Windows keeps each drive's directory in variables
// of the form =C:=C:\dir, whose names begin with the =.
func cutEnv(e string) (name, value string, ok bool) {
	if len(e) >= 4 && e[0] == '=' && isAlnum(rune(e[1])) && e[2:4] == ":=" {
		return e[:3], e[4:], true
	}
	return strings.Cut(e, "=")
}

// cwd: "MUST be an absolute path" (config.md), of POSIX or of Windows; the
// package does not know which of them will run the spec.
func (v *validator) cwd(cwd string) {
	const path = "process.cwd"
	if cwd == "" {
		return // absent; an empty string in a document is the decoder's problem
	}
	drive := len(cwd) >= 3 && isAlnum(rune(cwd[0])) && cwd[1] == ':' && (cwd[2] == '\\' || cwd[2] == '/')
	if cwd[0] != '/' && !drive && !strings.HasPrefix(cwd, `\\`) {
		v.bad(path, "%s is not an absolute path", clip(cwd))
	}
	if strings.IndexByte(cwd, 0) >= 0 {
		v.bad(path, "%s has a NUL character", clip(cwd))
	}
}

// user bounds IDs to 31 bits. Larger ones have wrapped around to root on the
// way through signed numbers (CVE-2024-40635), and -1 means "no change" to
// setresuid(2).
func (v *validator) user(u *specs.User) {
	id := func(path string, id uint32) {
		if id > math.MaxInt32 {
			v.bad(path, "%d is out of range: 0 to %d", id, math.MaxInt32)
		}
	}
	id("process.user.uid", u.UID)
	id("process.user.gid", u.GID)
	for i, gid := range u.AdditionalGids {
		id(item("process.user.additionalGids", i), gid)
	}
	if u.Umask != nil && *u.Umask > 0o777 {
		v.bad("process.user.umask", "%d is out of range: 0 to 511, which is octal 777; 022 is written as 18", *u.Umask)
	}
}

// rlimits: an unknown type and a type given twice are errors (config.md).
func (v *validator) rlimits(rlimits []specs.POSIXRlimit) {
	first := make(map[string]int, len(rlimits))
	for i, r := range rlimits {
		path := item("process.rlimits", i)
		j, again := first[r.Type]
		switch {
		case !slices.Contains(rlimitNames[:], r.Type):
			v.add(path+".type", KindValue, nearestOf(r.Type, rlimitNames[:], "RLIMIT_"), fmt.Sprintf("%s is no resource limit of Linux", clip(r.Type)))
		case again:
			v.bad(path+".type", "%s is given before, by %s", r.Type, item("process.rlimits", j))
		}
		if !again {
			first[r.Type] = i
		}
		if r.Soft > r.Hard && !v.undecoded(path+".hard") {
			v.bad(path+".soft", "%d is more than the hard limit %d", r.Soft, r.Hard)
		}
	}
}

// rlimitNames are the resources of getrlimit(2).
var rlimitNames = [...]string{
	"RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS",
	"RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS",
	"RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK",
}
