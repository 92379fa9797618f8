// Command benchmark measures pkshim beside its peers. hack/bench builds it and
// runs it on a test host, as root, in a delegated unit of its own.
//
//	benchmark [-n ROUNDS] [-o FILE] PART...
//
// What is compared takes turns in one process on one host: only the ratios
// mean something elsewhere. A target that is missed is printed and is not a
// failure; what could not be measured is both.
package main

import (
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
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
	samples *csv.Writer
	own     string            // the cgroup of this process
	dir     string            // for bundles
	bundles map[string]string // by content
	ids     int               // names given to runs
}

func main() {
	rounds := flag.Int("n", 200, "rounds of each comparison")
	samples := flag.String("o", "", "write every sample to `FILE` as CSV")
	flag.Parse()
	// Nothing but a child's end interrupts the thread that measures.
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
	out := io.Discard
	if samples != "" {
		f, err := os.Create(samples)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	b.samples = csv.NewWriter(out)
	b.samples.Write([]string{"part", "round", "command", "wall_ns", "cpu_ns", "maxrss_kib"})
	if err := b.enterLeaf(); err != nil {
		return err
	}
	unmount, err := mountRoot()
	if err != nil {
		return err
	}
	defer unmount()
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
	b.samples.Flush()
	return errors.Join(append(errs, b.samples.Error())...)
}

// mount is where the test hosts have cgroup v2.
const mount = "/sys/fs/cgroup"

// enterLeaf moves this process to a leaf of its cgroup: beside it there is room
// for the peers' cgroups.
func (b *bench) enterLeaf() error {
	top, err := ownCgroup()
	if err != nil {
		return err
	}
	b.own = top + "/bench"
	if err := os.Mkdir(mount+b.own, 0o755); err != nil {
		return err
	}
	return b.enter()
}

// enter moves this process to its cgroup.
func (b *bench) enter() error {
	return os.WriteFile(mount+b.own+"/cgroup.procs", []byte("0"), 0)
}

// beside is the path of a cgroup next to this process's.
func (b *bench) beside(name string) string {
	return strings.TrimSuffix(b.own, "bench") + name
}

func ownCgroup() (string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	path, ok := unifiedPath(string(text))
	if !ok {
		return "", errors.New("/proc/self/cgroup: no cgroup v2")
	}
	return path, nil
}

// unifiedPath finds the cgroup v2 path in /proc/PID/cgroup (cgroups(7)).
func unifiedPath(text string) (string, bool) {
	for line := range strings.Lines(text) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(path, "\n"), true
		}
	}
	return "", false
}

// host says where this was measured.
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
			line = fmt.Sprintf("no %s: %v", program, err)
		}
		words = append(words, line)
	}
	return strings.Join(append(words, "load "+load()), "; ")
}

// load is the average number of busy processes over 1, 5 and 15 minutes: this
// run's, and those of whatever else the machine does.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
