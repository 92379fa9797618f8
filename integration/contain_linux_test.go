package integration

import (
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// treeSize is how many processes a workload has in these tests.
const treeSize = 200

// A running tree.
type growing struct {
	*running
	input  *os.File // its end ends the root
	output *os.File // its end is the death of all
	since  time.Time
}

func grow(t testing.TB, m mechanism, flags ...string) *growing {
	t.Helper()
	in, input := pipe(t)
	output, out := pipe(t)
	since := time.Now()
	g := &growing{
		running: call{mechanism: m, flags: flags, command: self("tree", "200"), stdin: in, stdout: out}.start(t),
		input:   input, output: output, since: since,
	}
	in.Close()
	out.Close()
	return g
}

// up waits until the whole tree is there and returns how long that took.
func (g *growing) up() time.Duration {
	g.t.Helper()
	g.output.SetReadDeadline(time.Now().Add(callTime))
	if n, err := io.ReadFull(g.output, make([]byte, treeSize)); err != nil {
		g.t.Fatalf("%d of %d processes came up: %v\n%s", n, treeSize, err, &g.stderr)
	}
	return time.Since(g.since)
}

// TestContainment ends trees of 200 processes, with setsid, double forks and
// deafness to SIGTERM, in every way that a run can end.
func TestContainment(t *testing.T) {
	each(t, func(t *testing.T, m mechanism) {
		var took time.Duration
		t.Run("root exits", func(t *testing.T) {
			g := grow(t, m)
			took = g.up()
			g.input.Close()
			res := g.ran()
			awaitEOF(t, g.output)
			res.exited(t, 0)
			if n := *res.report.Leftovers.Killed; n != treeSize-1 {
				t.Errorf("%d leftovers, want %d", n, treeSize-1)
			}
			nothingLeft(t, res.id)
		})
		t.Run("timeout", func(t *testing.T) {
			g := grow(t, m, "--timeout", (4*took + time.Second).String(), "--grace", "200ms")
			res := g.ran()
			n := awaitEOF(t, g.output)
			if res.report.Exit.Reason != "timeout" || res.code != 124 {
				t.Errorf("exit code %d, %+v", res.code, res.report.Exit)
			}
			wantDeaf(t, res, int(n))
			nothingLeft(t, res.id)
		})
		t.Run("SIGTERM", func(t *testing.T) {
			g := grow(t, m, "--grace", "200ms")
			g.up()
			if err := g.Process.Signal(unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			res := g.ran()
			awaitEOF(t, g.output)
			if e := res.report.Exit; e.Reason != "canceled" || e.SignalName != "SIGTERM" || res.code != 143 {
				t.Errorf("exit code %d, %+v", res.code, e)
			}
			wantDeaf(t, res, treeSize)
			nothingLeft(t, res.id)
		})
		t.Run("SIGKILL", func(t *testing.T) { killAtAnyMoment(t, m, took) })
	})
}

// wantDeaf checks that what would not end by SIGTERM was killed and counted;
// of the rest, some may have been too slow.
func wantDeaf(t *testing.T, res *result, up int) {
	t.Helper()
	if up < treeSize {
		t.Errorf("only %d processes came up", up)
	}
	if n := *res.report.Leftovers.Killed; n < deaf(treeSize) || n >= treeSize {
		t.Errorf("%d leftovers, want at least the %d that ignore SIGTERM", n, deaf(treeSize))
	}
}

// killAtAnyMoment kills pkshim at 50 moments, from its start until after the
// tree, which takes so long, is up.
func killAtAnyMoment(t *testing.T, m mechanism, took time.Duration) {
	var ids []string
	n := times(t, 50, took*3/2, 15*time.Second)
	up := 0
	for i := range n {
		g := grow(t, m)
		// One in each part of the time: the moments are random and spread.
		moment := (float64(i) + rand.Float64()) / float64(n) * 1.2
		<-time.After(time.Duration(moment * float64(took)))
		if err := g.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		g.Wait()
		up += int(awaitEOF(t, g.output))
		nothingLeft(t, g.call.id)
		ids = append(ids, g.call.id)
		if exists(g.call.report) {
			t.Errorf("killed after %.2f of the start, and there is a report", moment)
		}
		g.input.Close()
	}
	t.Logf("on average %d of %d processes were up", up/n, treeSize)
	eventually(t, "no unit is left", func() bool {
		units := strings.Join(unitsOf(session), "\n")
		return !slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(units, id) })
	})
}
