package spec

import (
	"fmt"
	"strings"
	"testing"
)

// process wraps properties of process, resources those of linux.resources.
func inProcess(s string) string { return `{"process":{"args":["a"],` + s + `}}` }
func inResources(s string) string {
	return `{"process":{"args":["a"]},"linux":{"resources":{` + s + `}}}`
}

type validateTest struct{ name, doc, want string }

// validateAll decodes strictly, validates, and compares the problems without
// their positions, which TestDecodeProblems and TestLocate are about.
func validateAll(t *testing.T, tests []validateTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Decode([]byte(tt.doc), true)
			if s == nil {
				t.Fatal(err)
			}
			var got []string
			if err := s.Validate(); err != nil {
				for line := range strings.SplitSeq(err.Error(), "\n") {
					place, rest, _ := strings.Cut(line, ": ")
					var l, c int
					if n, _ := fmt.Sscanf(place, "%d:%d", &l, &c); n != 2 || l < 1 || c < 1 {
						t.Errorf("no position in %q", line)
					}
					got = append(got, rest)
				}
			}
			if got := lines(got...); got != tt.want {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", tt.doc, got, tt.want)
			}
		})
	}
}

func TestValidateDocument(t *testing.T) {
	validateAll(t, []validateTest{
		{"least", `{"process":{"args":["a"]}}`, ``},
		{"nothing", `{}`, `process: missing: there is nothing to run`},
		{"no args", `{"process":{}}`, `process.args: missing: there is nothing to run`},
		{"empty args", `{"process":{"args":[]}}`, `process.args: empty: there is nothing to run`},
		{"empty program", `{"process":{"args":["","b"]}}`, `process.args[0]: the name of the program is empty`},
		{"NUL in args", `{"process":{"args":["a","b\u0000c"]}}`, `process.args[1]: "b\x00c" has a NUL character`},
		{"versions", `{"ociVersion":"1.0.0-rc5-dev+a.1","process":{"args":["a"]}}`, ``},
		{"no version", `{"ociVersion":"1.0","process":{"args":["a"]}}`, `ociVersion: "1.0" is not a version such as 1.3.0 (SemVer 2.0.0)`},
		{"leading zero", `{"ociVersion":"1.03.0","process":{"args":["a"]}}`, `ociVersion: "1.03.0" is not a version such as 1.3.0 (SemVer 2.0.0)`},
		{"empty prerelease", `{"ociVersion":"1.3.0-","process":{"args":["a"]}}`, `ociVersion: "1.3.0-" is not a version such as 1.3.0 (SemVer 2.0.0)`},
		{"other major", `{"ociVersion":"2.0.0","process":{"args":["a"]}}`, `ociVersion: refused: version "2.0.0"; only major version 1 is known`},
		{"annotation", `{"process":{"args":["a"]},"annotations":{"":"x","a":""}}`, `annotations[""]: the name of an annotation is empty`},
		{"decode problems too", `{"process":{"arg":["a"],"cwd":"b"},"hostname":"h"}`, lines(
			`process.args: missing: there is nothing to run`,
			`process.arg: unknown property; did you mean "args"?`,
			`process.cwd: "b" is not an absolute path`,
			`hostname: refused: `+noNamespaces)},
		{"no consequences", `{"process":{"args":"a","rlimits":[{"type":"RLIMIT_CPU","soft":2,"hard":-1}]},"linux":{"resources":{"memory":{"limit":"1G","swap":1}}}}`, lines(
			`process.args: must be an array, not a string`,
			`process.rlimits[0].hard: -1 is out of range: a whole number from 0 to 18446744073709551615`,
			`linux.resources.memory.limit: must be a number, not a string`)},
	})
}

func TestValidateProcess(t *testing.T) {
	validateAll(t, []validateTest{
		{"env", inProcess(`"env":["A=1","B=","C=a=b","=C:=C:\\x","A=1","É=x"]`), ``},
		{"bad env", inProcess(`"env":["A","=x","","A=1","A=2","B=\u0000"]`), lines(
			`process.env[0]: "A" is not NAME=VALUE`,
			`process.env[1]: "=x" has no name before the =`,
			`process.env[2]: "" is not NAME=VALUE`,
			`process.env[4]: "A" is set before, by process.env[3], to something else`,
			`process.env[5]: "B=\x00" has a NUL character`)},
		{"cwd", inProcess(`"cwd":"/a"`), ``},
		{"Windows cwd", inProcess(`"cwd":"C:\\a"`), ``},
		{"relative cwd", inProcess(`"cwd":"a/b"`), `process.cwd: "a/b" is not an absolute path`},
		{"drive-relative cwd", inProcess(`"cwd":"C:a"`), `process.cwd: "C:a" is not an absolute path`},
		{"empty cwd", inProcess(`"cwd":""`), `process.cwd: empty; leave it out for the caller's own directory`},
		{"NUL cwd", inProcess(`"cwd":"/a\u0000"`), `process.cwd: "/a\x00" has a NUL character`},

		{"user", inProcess(`"user":{"uid":2147483647,"gid":0,"umask":511,"additionalGids":[1,2147483647]}`), ``},
		{"large IDs", inProcess(`"user":{"uid":2147483648,"gid":4294967295,"umask":512,"additionalGids":[2147483648]}`), lines(
			`process.user.uid: 2147483648 is out of range: 0 to 2147483647`,
			`process.user.gid: 4294967295 is out of range: 0 to 2147483647`,
			`process.user.umask: 512 is out of range: 0 to 511, which is octal 777; 022 is written as 18`,
			`process.user.additionalGids[0]: 2147483648 is out of range: 0 to 2147483647`)},

		{"rlimits", inProcess(`"rlimits":[{"type":"RLIMIT_NOFILE","soft":1,"hard":18446744073709551615},{"type":"RLIMIT_CORE","soft":0,"hard":0}]`), ``},
		{"bad rlimits", inProcess(`"rlimits":[{"type":"RLIMIT_NOFILES","soft":1,"hard":1},{"type":"nofile","soft":1,"hard":1},{"type":"RLIMIT_FOO","soft":1,"hard":1},
			{"type":"RLIMIT_CPU","soft":2,"hard":1},{"type":"RLIMIT_CPU","soft":1,"hard":1}]`), lines(
			`process.rlimits[0].type: "RLIMIT_NOFILES" is no resource limit of Linux; did you mean "RLIMIT_NOFILE"?`,
			`process.rlimits[1].type: "nofile" is no resource limit of Linux; did you mean "RLIMIT_NOFILE"?`,
			`process.rlimits[2].type: "RLIMIT_FOO" is no resource limit of Linux`,
			`process.rlimits[3].soft: 2 is more than the hard limit 1`,
			`process.rlimits[4].type: RLIMIT_CPU is given before, by process.rlimits[3]`)},
		{"oomScoreAdj", inProcess(`"oomScoreAdj":-1001`), `process.oomScoreAdj: -1001 is out of range: -1000 to 1000`},
		{"affinity", inProcess(`"execCPUAffinity":{"initial":"0-3,7","final":"8191"}`), ``},
		{"bad affinity", inProcess(`"execCPUAffinity":{"initial":"0-3,","final":"8192"}`), lines(
			`process.execCPUAffinity.initial: "0-3," is not a list such as 0-3,7`,
			`process.execCPUAffinity.final: "8192" is out of range: 0 to 8191`)},
	})
}

func TestValidateCapabilities(t *testing.T) {
	validateAll(t, []validateTest{
		{"user's", inProcess(`"user":{"uid":1,"gid":1},"capabilities":{"bounding":["CAP_KILL","CAP_CHOWN"],"permitted":["CAP_KILL"],"inheritable":["CAP_KILL"],"effective":["CAP_KILL"],"ambient":["CAP_KILL"]}`), ``},
		{"unknown", inProcess(`"capabilities":{"bounding":["CAP_SYS_ADMN","kill","CAP_NOTHING_LIKE_IT"]}`), lines(
			`process.capabilities.bounding[0]: "CAP_SYS_ADMN" is no capability of Linux; did you mean "CAP_SYS_ADMIN"?`,
			`process.capabilities.bounding[1]: "kill" is no capability of Linux; did you mean "CAP_KILL"?`,
			`process.capabilities.bounding[2]: "CAP_NOTHING_LIKE_IT" is no capability of Linux`)},
		{"relations", inProcess(`"capabilities":{"effective":["CAP_KILL"],"permitted":["CAP_CHOWN"],"inheritable":["CAP_KILL"],"ambient":["CAP_KILL","CAP_CHOWN"]}`), lines(
			`process.capabilities.effective[0]: CAP_KILL is not in permitted`,
			`process.capabilities.ambient[0]: CAP_KILL is not in permitted`,
			`process.capabilities.ambient[1]: CAP_CHOWN is not in inheritable`)},
		{"root's", inProcess(`"user":{"uid":0,"gid":0},"capabilities":{"bounding":["CAP_KILL"],"permitted":["CAP_KILL"],"effective":["CAP_KILL"]}`), ``},
		{"root gets more", inProcess(`"user":{"uid":0,"gid":0},"capabilities":{"bounding":["CAP_KILL"],"inheritable":["CAP_CHOWN"],"permitted":["CAP_FOWNER"]}`), lines(
			`process.capabilities.bounding[0]: CAP_KILL is not in permitted, but execve would give it to uid 0`,
			`process.capabilities.inheritable[0]: CAP_CHOWN is not in permitted, but execve would give it to uid 0`,
			`process.capabilities.permitted[0]: CAP_FOWNER is not in effective, but execve would make it effective for uid 0`)},
		{"no_new_privs holds them", inProcess(`"noNewPrivileges":true,"user":{"uid":0,"gid":0},"capabilities":{"bounding":["CAP_KILL"]}`), ``},
		{"the caller may be no root", inProcess(`"capabilities":{"bounding":["CAP_KILL"]}`), ``},
	})
}

func TestValidateScheduling(t *testing.T) {
	scheduler := func(s string) string { return inProcess(`"scheduler":{` + s + `}`) }
	validateAll(t, []validateTest{
		{"other", scheduler(`"policy":"SCHED_OTHER","nice":-20,"flags":["SCHED_FLAG_RESET_ON_FORK"]`), ``},
		{"fifo", scheduler(`"policy":"SCHED_FIFO","priority":99`), ``},
		{"deadline", scheduler(`"policy":"SCHED_DEADLINE","runtime":1024,"deadline":1024,"period":1024`), ``},
		{"no period", scheduler(`"policy":"SCHED_DEADLINE","runtime":5000,"deadline":6000`), ``},
		{"policy", scheduler(`"policy":"SCHED_FIF","flags":["RESET_ON_FORK"]`), lines(
			`process.scheduler.policy: "SCHED_FIF" is not one of SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_ISO, SCHED_IDLE, SCHED_DEADLINE; did you mean "SCHED_FIFO"?`,
			`process.scheduler.flags[0]: "RESET_ON_FORK" is not one of `+strings.Join(schedulerFlags[:], ", ")+`; did you mean "SCHED_FLAG_RESET_ON_FORK"?`)},
		{"iso", scheduler(`"policy":"SCHED_ISO"`), `process.scheduler.policy: refused: no version of Linux has implemented SCHED_ISO (sched.h)`},
		{"no priority", scheduler(`"policy":"SCHED_RR","nice":1`), lines(
			`process.scheduler.priority: 0 is out of range: 1 to 99 for SCHED_RR`,
			`process.scheduler.nice: SCHED_RR has no nice value, only SCHED_OTHER and SCHED_BATCH have`)},
		{"priority", scheduler(`"policy":"SCHED_OTHER","priority":1,"nice":20,"runtime":1`), lines(
			`process.scheduler: runtime, deadline and period are for SCHED_DEADLINE, not for SCHED_OTHER`,
			`process.scheduler.priority: 1 is out of range: 0 to 0 for SCHED_OTHER`,
			`process.scheduler.nice: 20 is out of range: -20 to 19`)},
		{"no deadline", scheduler(`"policy":"SCHED_DEADLINE"`), lines(
			`process.scheduler.runtime: 0 ns is less than the kernel's minimum of 1024`,
			`process.scheduler.deadline: missing: SCHED_DEADLINE needs one`)},
		{"order", scheduler(`"policy":"SCHED_DEADLINE","runtime":5000,"deadline":4000,"period":3000`), lines(
			`process.scheduler.runtime: 5000 ns is more than the deadline of 4000`,
			`process.scheduler.period: 3000 ns is less than the deadline of 4000`)},
		{"idle io", inProcess(`"ioPriority":{"class":"IOPRIO_CLASS_IDLE","priority":4}`), ``},
		{"io", inProcess(`"ioPriority":{"class":"BE","priority":8}`), lines(
			`process.ioPriority.class: "BE" is not one of IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE; did you mean "IOPRIO_CLASS_BE"?`,
			`process.ioPriority.priority: 8 is out of range: 0, the highest, to 7`)},
	})
}
