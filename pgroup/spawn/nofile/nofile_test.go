package nofile_test

import (
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/pkshim/pkshim/pgroup/spawn/nofile"
)

// The test is outside of the package, which must not import syscall.
// os/exec restores the original limit in its children, so a shell tells
// independently what it was.
func TestOriginal(t *testing.T) {
	soft, hard, ok := nofile.Original()
	if runtime.GOOS != "linux" || (runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64") {
		if ok {
			t.Fatalf("Original() = %d, %d, true on %s/%s", soft, hard, runtime.GOOS, runtime.GOARCH)
		}
		return
	}
	if !ok {
		t.Fatal("Original() is not known")
	}
	for flag, got := range map[string]uint64{"-S": soft, "-H": hard} {
		out, err := exec.Command("sh", "-c", "ulimit "+flag+" -n").Output()
		if err != nil {
			t.Fatalf("ask the shell: %v", err)
		}
		want := strings.TrimSpace(string(out))
		if want == "unlimited" {
			want = strconv.FormatUint(^uint64(0), 10)
		}
		if s := strconv.FormatUint(got, 10); s != want {
			t.Errorf("ulimit %s -n: Original has %s, a shell has %s", flag, s, want)
		}
	}
}
