package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// churn COUNT PARALLEL COMMAND... runs the command so often, with an --id of
// its own each, and prints what was wrong.
func churn(args []string) {
	count, parallel, command := number(args[0]), number(args[1]), args[2:]
	var next atomic.Int64
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(count); i = next.Add(1) {
				runOnce(command, fmt.Sprint(command[1], "-", i))
			}
		})
	}
	wg.Wait()
}

// runOnce runs PKSHIM ID FLAGS... and checks the report on its standard output.
func runOnce(command []string, id string) {
	cmd := exec.Command(command[0], append([]string{"run", "--report", "-", "--id", id}, command[2:]...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var r report
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err == nil && (r.Exit.Code == nil || *r.Exit.Code != 0 || !r.Cleanup.Removed || r.Cleanup.Error != "" || *r.Leftovers.Killed != 0) {
		err = fmt.Errorf("exit %+v, cleanup %+v, leftovers %+v", r.Exit, r.Cleanup, r.Leftovers)
	}
	if err != nil || stderr.Len() > 0 {
		fmt.Printf("%s: %v: %s\n", id, err, &stderr)
	}
}

// TestChurn runs `true` a thousand times, and fifty times at once, in one
// place: the directory, the unit and the bus are the same for all.
func TestChurn(t *testing.T) {
	each(t, func(t *testing.T, m mechanism) {
		one := repeat(t, m, 5, 1) / 5
		repeat(t, m, times(t, 1000, one, 20*time.Second), 2)
		many := times(t, 50, one, 10*time.Second)
		repeat(t, m, many, many)
	})
}

func repeat(t *testing.T, m mechanism, count, parallel int) time.Duration {
	t.Helper()
	id := newID()
	args := append(m.wrap[:len(m.wrap):len(m.wrap)], self("churn", fmt.Sprint(count), fmt.Sprint(parallel), bin, id, "--mechanism", m.name, "--", "/bin/true")...)
	start := time.Now()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	took := time.Since(start)
	if err != nil || len(out) > 0 {
		t.Errorf("%d runs, %d at once: %v\n%s", count, parallel, err, out)
	}
	t.Logf("%d runs, %d at once: %s", count, parallel, took.Round(time.Millisecond))
	nothingLeft(t, id)
	noUnits(t, id)
	return took
}
