package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

func compareCgroupfs(b *bench) error {
	fmt.Println("cgroupfs: run true in a cgroup of its own and remove it")
	return b.compare("cgroupfs", pkshim("cgroupfs", "/pkshim-"), crun.cgroupfs().than(0.5), runc.cgroupfs(), bare)
}

func compareSystemd(b *bench) error {
	fmt.Println("systemd: run true in a transient scope and remove it (systemd-run leaves the removal to systemd and does not wait)")
	return b.compare("systemd", pkshim("systemd", ".scope"), systemdRun.than(0.8), crun.systemd(), runc.systemd(), bare)
}

func comparePgroup(b *bench) error {
	fmt.Println("pgroup: run true without a cgroup")
	return b.compare("pgroup", pkshim("pgroup", ""), bare)
}

const (
	// warmUp rounds are not counted: the page cache, systemd's own growth.
	warmUp = 5
	// pause is left after each run, so that what systemd still does for one
	// (it collects a scope within 24 ms) is not part of the next one's time.
	pause = 25 * time.Millisecond
)

// A sample is one run of a peer.
type sample struct {
	wall   time.Duration
	cpu    time.Duration // of the process and all it waited for, user and system
	maxRSS int64         // of the largest of them, KiB
}

// compare runs the peers by turns and prints a table. The first is pkshim.
func (b *bench) compare(part string, peers ...peer) error {
	var errs []error
	peers = slices.DeleteFunc(peers, func(p peer) bool {
		err := p.check(b)
		if err != nil {
			fmt.Printf("%-26s not measured: %v\n", p.name, err)
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
		}
		return err != nil
	})
	samples := make([][]sample, len(peers))
	for round := range warmUp + b.rounds {
		for turn := range peers {
			i := (round + turn) % len(peers) // each comes after each other one
			s, err := b.time(&peers[i])
			if err != nil {
				return errors.Join(append(errs, err)...)
			}
			time.Sleep(pause)
			if round < warmUp {
				continue
			}
			samples[i] = append(samples[i], *s)
			b.samples.Write([]string{
				part, strconv.Itoa(round - warmUp), peers[i].name,
				strconv.FormatInt(int64(s.wall), 10), strconv.FormatInt(int64(s.cpu), 10), strconv.FormatInt(s.maxRSS, 10),
			})
		}
	}
	printTable(peers, samples)
	return errors.Join(errs...)
}

// time runs one peer once. os/exec would add goroutines, a pidfd and a poller to
// what is measured; what is left is vfork, exec and wait4.
func (b *bench) time(p *peer) (*sample, error) {
	line, err := p.line(b, nothing)
	if err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	said, err := os.CreateTemp(b.dir, "stderr")
	if err != nil {
		return nil, err
	}
	defer os.Remove(said.Name())
	defer said.Close()
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{null.Fd(), null.Fd(), said.Fd()}}
	var status syscall.WaitStatus
	var usage syscall.Rusage

	begin := time.Now()
	pid, err := syscall.ForkExec(line[0], line, attr)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", line, err)
	}
	for {
		_, err = syscall.Wait4(pid, &status, 0, &usage)
		if err != syscall.EINTR {
			break
		}
	}
	wall := time.Since(begin)

	if err != nil || status != 0 {
		said.Seek(0, io.SeekStart)
		text, _ := io.ReadAll(said)
		return nil, fmt.Errorf("%q: wait status %#x, %v: %s", line, status, err, text)
	}
	return &sample{
		wall: wall, cpu: time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), maxRSS: usage.Maxrss,
	}, nil
}

func printTable(peers []peer, samples [][]sample) {
	wall := func(s sample) time.Duration { return s.wall }
	cpu := func(s sample) time.Duration { return s.cpu }
	fmt.Printf("%-26s %8s %8s %8s %8s %8s %8s\n", "ms, MB", "min", "p50", "p99", "CPU p50", "max RSS", "ratio")
	for i, p := range peers {
		own, theirs := quantile(samples[0], wall, 0.5), quantile(samples[i], wall, 0.5)
		rss := slices.MaxFunc(samples[i], func(a, b sample) int { return int(a.maxRSS - b.maxRSS) }).maxRSS
		ratio := float64(own) / float64(theirs)
		fmt.Printf("%-26s %8.2f %8.2f %8.2f %8.2f %8.1f %8.2f", p.name,
			ms(quantile(samples[i], wall, 0)), ms(theirs), ms(quantile(samples[i], wall, 0.99)),
			ms(quantile(samples[i], cpu, 0.5)), float64(rss)/1024, ratio)
		if p.most > 0 {
			fmt.Printf("  target: at most %.2f, %s", p.most, met(ratio <= p.most))
		}
		fmt.Println()
	}
}

// quantile is the smallest value that a part q of all is not above.
func quantile(samples []sample, of func(sample) time.Duration, q float64) time.Duration {
	values := make([]time.Duration, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

func met(yes bool) string {
	if yes {
		return "met"
	}
	return "not met"
}
