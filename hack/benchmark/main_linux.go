// Command benchmark measures pkshim beside its peers. hack/bench builds it and
// runs it on a test host, as root and in a delegated unit of its own.
//
//	benchmark [-n ROUNDS] [-o FILE] PART...
//
// What is compared is run by turns, in one process on one host: only the ratios
// mean something elsewhere. A target that is missed is printed and is no
// failure; what could not be measured is both.
package main

import (
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// parts by name; hack/bench has the list for people.
var parts = map[string]func(*bench) error{
	"cgroupfs": compareCgroupfs,
	"systemd":  compareSystemd,
	"pgroup":   comparePgroup,
	"memory":   memory,
	"start":    start,
	"limit":    limit,
}

// A bench is one run of this program.
type bench struct {
	rounds  int
	samples *csv.Writer // nil if nobody wants them
	dir     string      // for bundles
	bundles map[string]string
	own     string // the cgroup of this process
	ids     int
}

func main() {
	rounds := flag.Int("n", 300, "rounds of each comparison")
	samples := flag.String("o", "", "write every sample to `FILE` as CSV")
	flag.Parse()
	// One thread does it all, and nothing but a child's end interrupts it.
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	if err := run(*rounds, *samples, flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "benchmark: %v\n", err)
		os.Exit(1)
	}
}

func run(rounds int, samples string, names []string) (err error) {
	b := &bench{rounds: rounds, bundles: map[string]string{}}
	if b.dir, err = os.MkdirTemp("", "pkshim-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if samples != "" {
		f, err := os.Create(samples)
		if err != nil {
			return err
		}
		defer f.Close()
		b.samples = csv.NewWriter(f)
		defer func() {
			b.samples.Flush()
			err = errors.Join(err, b.samples.Error())
		}()
		b.samples.Write([]string{"part", "round", "command", "wall_ns", "cpu_ns", "maxrss_kib"})
	}
	if err := b.enterLeaf(); err != nil {
		return err
	}
	fmt.Println(host())
	var errs []error
	for _, name := range names {
		part, ok := parts[name]
		if !ok {
			return fmt.Errorf("no part %q", name)
		}
		fmt.Println()
		if err := part(b); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	fmt.Printf("\nload %s\n", load())
	return errors.Join(errs...)
}

// enterLeaf moves this process to a leaf of its cgroup: next to it there is
// room for the peers' cgroups, with controllers if the host has any.
func (b *bench) enterLeaf() error {
	top, err := ownCgroup()
	if err != nil {
		return err
	}
	b.own = top + "/bench"
	dir := mount + b.own
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(dir+"/cgroup.procs", []byte("0"), 0)
}

// top is the cgroup that is ours to divide.
func (b *bench) top() string { return strings.TrimSuffix(b.own, "/bench") }

// mount is where the test hosts have cgroup v2.
const mount = "/sys/fs/cgroup"

func ownCgroup() (string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(path, "\n"), nil
		}
	}
	return "", errors.New("/proc/self/cgroup: no cgroup v2")
}

// host says what the numbers were measured on.
func host() string {
	var uts unix.Utsname
	unix.Uname(&uts)
	words := []string{
		"Linux " + unix.ByteSliceToString(uts.Release[:]), fmt.Sprintf("%d CPUs", runtime.NumCPU()), runtime.Version(),
	}
	for _, program := range []string{"systemctl", "crun", "runc"} {
		out, err := exec.Command(program, "--version").Output()
		line, _, _ := strings.Cut(string(out), "\n")
		if err != nil {
			line = fmt.Sprintf("no %s (%v)", program, err)
		}
		words = append(words, line)
	}
	return strings.Join(append(words, "load "+load()), ", ")
}

// load is the number of runnable processes, averaged over 1, 5 and 15 minutes:
// of this run, and of whatever else keeps the machine busy.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
