package runtime

import (
	"errors"
	"syscall"
	"testing"

	"github.com/pkshim/pkshim/pgroup/pidfd"
	"github.com/pkshim/pkshim/spec"
)

func TestExitStatus(t *testing.T) {
	killed := func(n uint64) *spec.Stats {
		return &spec.Stats{Memory: &spec.MemoryStats{Events: &spec.MemoryEvents{OOMKill: &n}}}
	}
	tests := []struct {
		name   string
		exit   *pidfd.Exit
		err    error
		cause  spec.Reason
		stats  *spec.Stats
		reason spec.Reason
		code   int
	}{
		{"exit 0", &pidfd.Exit{}, nil, "", nil, spec.ReasonExited, 0},
		{"exit 255", &pidfd.Exit{Code: 255}, nil, "", killed(0), spec.ReasonExited, 255},
		{"signal", &pidfd.Exit{Signal: syscall.SIGSEGV, CoreDumped: true}, nil, "", killed(0), spec.ReasonSignaled, 139},
		{"killed, nothing counted", &pidfd.Exit{Signal: syscall.SIGKILL}, nil, "", nil, spec.ReasonSignaled, 137},
		{"killed, no OOM", &pidfd.Exit{Signal: syscall.SIGKILL}, nil, "", killed(0), spec.ReasonSignaled, 137},
		{"OOM", &pidfd.Exit{Signal: syscall.SIGKILL}, nil, "", killed(1), spec.ReasonOOM, 137},
		{"OOM of another member", &pidfd.Exit{Code: 1}, nil, "", killed(1), spec.ReasonExited, 1},
		{"another signal after an OOM", &pidfd.Exit{Signal: syscall.SIGTERM}, nil, "", killed(1), spec.ReasonSignaled, 143},
		{"timeout", &pidfd.Exit{Signal: syscall.SIGTERM}, nil, spec.ReasonTimeout, nil, spec.ReasonTimeout, 124},
		{"timeout, then exit 0", &pidfd.Exit{}, nil, spec.ReasonTimeout, nil, spec.ReasonTimeout, 124},
		{"timeout, killed by us after an OOM", &pidfd.Exit{Signal: syscall.SIGKILL}, nil, spec.ReasonTimeout, killed(1), spec.ReasonTimeout, 124},
		{"canceled", &pidfd.Exit{Signal: syscall.SIGTERM}, nil, spec.ReasonCanceled, nil, spec.ReasonCanceled, 143},
		{"nobody saw it", nil, errors.New("no child"), spec.ReasonTimeout, nil, spec.ReasonUnknown, 125},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := exitStatus(tt.exit, tt.err, tt.cause, tt.stats)
			if s.Reason != tt.reason {
				t.Errorf("reason %s, want %s", s.Reason, tt.reason)
			}
			if code := s.ShellCode(); code != tt.code {
				t.Errorf("shell code %d, want %d", code, tt.code)
			}
			if tt.exit != nil && s.CoreDumped != tt.exit.CoreDumped {
				t.Errorf("core dumped %v", s.CoreDumped)
			}
		})
	}
}

func TestFillFromRusage(t *testing.T) {
	const own = 8 << 20
	tests := []struct {
		name  string
		stats spec.Stats
		rss   uint64
		want  bool
	}{
		{"larger than pkshim", spec.Stats{Unmeasured: map[string]string{"memory": "no controller"}}, own + 1, true},
		{"no larger", spec.Stats{Unmeasured: map[string]string{"memory": "no controller"}}, own, false},
		{"measured otherwise", spec.Stats{Memory: &spec.MemoryStats{}}, own + 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.stats
			fillFromRusage(&s, &pidfd.Exit{MaxRSS: tt.rss}, own)
			filled := s.Memory != nil && s.Memory.Peak != nil
			if filled != tt.want || filled && (*s.Memory.Peak != tt.rss || s.Sources["memory.peak"] == "" || s.Unmeasured["memory.events"] == "") {
				t.Errorf("%+v, %v, %v", s.Memory, s.Sources, s.Unmeasured)
			}
		})
	}
}
