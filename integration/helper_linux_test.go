package integration

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// helperTime bounds every helper: a test that fails leaves nothing for long.
const helperTime = 5 * time.Minute

// helpers are the workloads of the tests, modes of the test's own binary: the
// hosts have no compiler.
var helpers = map[string]func(args []string){
	"tree":  tree,
	"trap":  trap,
	"forks": forks,
	"burn":  burn,
	"churn": churn,
}

// self are the arguments that start a helper.
func self(name string, args ...string) []string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return append([]string{exe, "helper", name}, args...)
}

func helper() {
	if len(os.Args) < 3 || os.Args[1] != "helper" {
		return
	}
	time.AfterFunc(helperTime, func() { os.Exit(99) })
	helpers[os.Args[2]](os.Args[3:])
	os.Exit(0)
}

func fatal(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(98)
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		fatal("%v", err)
	}
	return n
}

// trap [SIGNAL...] prints a line for each of these signals that it receives,
// "ready" before, and ends with its input or after SIGTERM. "end" says that all
// were printed. What it was started to ignore stays so.
func trap(args []string) {
	received := make(chan os.Signal, 64)
	for _, name := range args {
		signal.Notify(received, unix.SignalNum("SIG"+name))
	}
	input := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(input)
	}()
	fmt.Println("ready", os.Getpid())
	for {
		select {
		case sig := <-received:
			fmt.Println(unix.SignalName(sig.(syscall.Signal)))
			if sig == unix.SIGTERM {
				return
			}
		case <-input:
			for len(received) > 0 {
				fmt.Println(unix.SignalName((<-received).(syscall.Signal)))
			}
			fmt.Println("end")
			return
		}
	}
}

// burn MILLISECONDS uses so much processor time.
func burn(args []string) {
	limit := time.Duration(number(args[0])) * time.Millisecond
	for {
		var used unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
			fatal("%v", err)
		}
		if time.Duration(used.Utime.Nano()+used.Stime.Nano()) >= limit {
			return
		}
		for i := range 1 << 20 {
			sink += i
		}
	}
}

var sink int

// statusField is a line of /proc/self/status.
func statusField(name string) string {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
