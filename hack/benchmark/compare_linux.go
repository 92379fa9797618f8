package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
)

func compareCgroupfs(b *bench) error {
	fmt.Println("cgroupfs: run true in a cgroup of its own and remove it")
	return b.compare("cgroupfs", quiet, pkshim("cgroupfs", "/pkshim-"), crun.cgroupfs().than(0.5), runc.cgroupfs(), bare)
}

// compareSystemd measures twice. To move a process to another cgroup, which is
// how systemd makes a scope, the kernel waits for an RCU grace period, more than
// 10 ms, unless it has just done so: a host that does little pays it each time,
// and one that starts a process in each moment does not.
func compareSystemd(b *bench) error {
	peers := []peer{
		pkshim("systemd", ".scope"), systemdRun.than(0.8), crun.systemd(), runc.systemd(), bare,
	}
	fmt.Println("systemd: run true in a transient scope and remove it (systemd-run does not wait for that), on an idle host")
	err := b.compare("systemd idle", rest, peers...)
	fmt.Println("\nsystemd: the same on a host that moves processes between cgroups all the time")
	return errors.Join(err, b.compare("systemd busy", b.move, peers...))
}

func comparePgroup(b *bench) error {
	fmt.Println("pgroup: run true without a cgroup")
	return b.compare("pgroup", quiet, pkshim("pgroup", ""), bare)
}

// What is done before each run, so that none is charged for the one before it:

// quiet waits until nothing else runs on this machine, or for a moment if it is
// busy: the kernel still frees what the last run had.
func quiet() error {
	for range 100 {
		stat, err := os.ReadFile("/proc/stat")
		if err != nil || bytes.Contains(stat, []byte("\nprocs_running 1\n")) {
			return err
		}
		time.Sleep(500 * time.Microsecond)
	}
	return nil
}

// rest lets systemd collect a scope that it was left with, which takes 24 ms, and
// the kernel's grace period for moves end, which takes 30.
func rest() error {
	time.Sleep(75 * time.Millisecond)
	return nil
}

// move gives systemd the time to collect, and moves this process to where it is.
func (b *bench) move() error {
	time.Sleep(25 * time.Millisecond)
	return b.enter()
}

// warmUp rounds are not counted: the page cache, systemd's own growth.
const warmUp = 5

// A sample is one run of a peer.
type sample struct {
	wall   time.Duration
	cpu    time.Duration // of the process and all it waited for, user and system
	maxRSS int64         // of the largest of them, KiB; never less than this program's, from which they are made
}

// compare runs the peers by turns, in a new order each round, and prints a
// table. The first is pkshim.
func (b *bench) compare(part string, before func() error, peers ...peer) error {
	var errs []error
	ours := peers[0].name
	peers = slices.DeleteFunc(peers, func(p peer) bool {
		err := p.check(b)
		if err != nil {
			fmt.Printf("%-26s not measured: %v\n", p.name, err)
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
		}
		return err != nil
	})
	if len(errs) > 0 && (len(peers) == 0 || peers[0].name != ours) {
		return errors.Join(errs...)
	}
	samples, failures := make([][]sample, len(peers)), make([][]error, len(peers))
	for round := range warmUp + b.rounds {
		for _, i := range rand.Perm(len(peers)) {
			runtime.GC() // the collector is off while a run is timed
			if err := before(); err != nil {
				return errors.Join(append(errs, err)...)
			}
			s, err := b.time(&peers[i])
			if err != nil {
				failures[i] = append(failures[i], err)
				continue
			}
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
	for i, f := range failures {
		if len(f) > 0 {
			fmt.Printf("%-26s %d runs failed and do not count; the first: %v\n", peers[i].name, len(f), f[0])
		}
		if len(samples[i]) < b.rounds*9/10 {
			return errors.Join(append(errs, fmt.Errorf("%s: %d runs failed", peers[i].name, len(f)))...)
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
