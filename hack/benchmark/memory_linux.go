package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// memory measures what stays while a workload runs.
func memory(b *bench) error {
	const most = 10 << 10
	fmt.Println("memory: what a run holds while its workload sleeps (RSS counts shared pages in every process, PSS divides them)")
	fmt.Printf("%-26s %-16s %8s %8s %8s\n", "KiB", "process", "RSS", "PSS", "private")
	var errs []error
	peers := []peer{
		pkshim("cgroupfs", ""), pkshim("systemd", ""), pkshim("pgroup", ""), crun.cgroupfs(), runc.cgroupfs(),
	}
	for i, p := range peers {
		held, err := b.waiting(&p)
		if err != nil {
			fmt.Printf("%-26s not measured: %v\n", p.name, err)
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
			continue
		}
		for j, m := range held {
			fmt.Printf("%-26s %-16s %8d %8d %8d", p.name, m.process, m.rss, m.pss, m.private)
			if j == 0 && i < 3 {
				fmt.Printf("  target: at most %d, %s", most, met(m.rss <= most))
			}
			fmt.Println()
		}
	}
	if _, err := exec.LookPath("conmon"); err != nil {
		fmt.Printf("%-26s not measured: it is not on this host\n", "conmon")
	}
	fmt.Printf("%-26s nothing stays: it becomes the workload\n", systemdRun.name)
	return errors.Join(errs...)
}

// idle is how long a run is left alone before it is looked at: pkshim keeps its
// connection to systemd for a second.
const idle = 1500 * time.Millisecond

// waiting runs a peer with a workload that sleeps and measures the processes
// around it.
func (b *bench) waiting(p *peer) (_ []held, err error) {
	line, err := p.line(b, workload{args: []string{"sh", "-c", "echo started; exec sleep 100"}})
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	c := exec.Command(line[0], line[1:]...)
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	var sleeper int
	defer func() {
		if sleeper > 0 {
			syscall.Kill(sleeper, syscall.SIGKILL)
		} else {
			c.Process.Kill()
		}
		if werr := c.Wait(); err != nil {
			err = fmt.Errorf("%q: %w: %v: %s", line, err, werr, bytes.TrimSpace(stderr.Bytes()))
		}
	}()
	if _, err := io.ReadFull(out, make([]byte, len("started\n"))); err != nil {
		return nil, err
	}
	time.Sleep(idle)
	tree, err := descendants(c.Process.Pid)
	if err != nil {
		return nil, err
	}
	var all []held
	for _, pid := range tree {
		m, err := measure(pid)
		if err != nil {
			return nil, err
		}
		if m.process == "sleep" {
			sleeper = pid
			continue
		}
		all = append(all, *m)
	}
	if sleeper == 0 {
		return nil, errors.New("the workload is not below it")
	}
	return all, nil
}

// held is the memory of a process in KiB.
type held struct {
	process           string
	rss, pss, private int
}

func measure(pid int) (*held, error) {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return nil, err
	}
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return nil, err
	}
	h := &held{process: strings.TrimSpace(string(name))}
	for line := range strings.Lines(string(rollup)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != "kB" {
			continue
		}
		n, err := strconv.Atoi(f[1])
		if err != nil {
			return nil, err
		}
		switch f[0] {
		case "Rss:":
			h.rss = n
		case "Pss:":
			h.pss = n
		case "Private_Clean:", "Private_Dirty:":
			h.private += n
		}
	}
	return h, nil
}

// descendants are a process and all below it, itself first.
func descendants(pid int) ([]int, error) {
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", all[i]))
		if err != nil {
			return nil, err
		}
		for _, task := range tasks { // a child belongs to the thread that made it
			children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", all[i], task.Name()))
			if err != nil {
				return nil, err
			}
			for word := range strings.FieldsSeq(string(children)) {
				child, err := strconv.Atoi(word)
				if err != nil {
					return nil, err
				}
				all = append(all, child)
			}
		}
	}
	slices.Sort(all[1:])
	return all, nil
}

// limit finds the smallest memory limit under which a workload that does nothing
// ends well. It needs a host with the memory controller.
func limit(b *bench) error {
	const (
		step = 64 << 10
		most = 1 << 20
		give = 64 << 20 // beyond this the limit is not what fails
	)
	fmt.Printf("limit: the smallest memory limit at which true runs, %d KiB apart, 3 times of 3\n", step>>10)
	var errs []error
	// crun does this by itself.
	if err := os.WriteFile(mount+b.beside("cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
		return fmt.Errorf("enable the memory controller: %w", err)
	}
	peers := []peer{
		pkshim("cgroupfs", ""), pkshim("systemd", ""), crun.cgroupfs(), runc.cgroupfs(), systemdRun,
	}
	for i, p := range peers {
		low, high := int64(0), int64(give/step) // low fails, high is well
		if err := b.runsAt(&p, high*step); err != nil {
			fmt.Printf("%-26s not measured: %v\n", p.name, err)
			errs = append(errs, err)
			continue
		}
		for high-low > 1 {
			if middle := (low + high) / 2; b.runsAt(&p, middle*step) == nil {
				high = middle
			} else {
				low = middle
			}
		}
		fmt.Printf("%-26s %6d KiB", p.name, high*step>>10)
		if i < 2 {
			fmt.Printf("  target: at most %d, %s", most>>10, met(high*step <= most))
		}
		fmt.Println()
	}
	return errors.Join(errs...)
}

func (b *bench) runsAt(p *peer, memory int64) error {
	for range 3 {
		line, err := p.line(b, workload{args: nothing.args, memory: memory})
		if err != nil {
			return err
		}
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%q: %w: %s", line, err, bytes.TrimSpace(out))
		}
	}
	return nil
}
