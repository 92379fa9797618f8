package spec_test

import (
	"errors"
	"fmt"
	"os"

	"github.com/pkshim/pkshim/spec"
)

// One call of Validate lists everything that is wrong, in the document's order.
func ExampleDecode() {
	s, err := spec.Decode([]byte(`{
  "process": {
    "args": ["make", "-j8"],
    "cwd": "src",
    "rlimit": []
  },
  "linux": {
    "resources": {"memory": {"limit": -5}},
    "namespaces": [{"type": "pid"}]
  }
}`), true)
	if s == nil {
		fmt.Println("no JSON object:", err)
		return
	}
	err = s.Validate()
	fmt.Println(err)
	fmt.Println("refused:", errors.Is(err, errors.ErrUnsupported))
	// Output:
	// 4:12: process.cwd: "src" is not an absolute path
	// 5:5: process.rlimit: unknown property; did you mean "rlimits"?
	// 8:39: linux.resources.memory.limit: -5 is negative; -1 is unlimited
	// 9:19: linux.namespaces: refused: the workload shares the host's namespaces; unshare(1) in process.args can give it its own
	// refused: true
}

func ExampleNew() {
	s := spec.New([]string{"make", "-j8"})
	s.Process.Cwd = "/src"
	if err := s.Encode(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {
	//   "ociVersion": "1.3.0",
	//   "process": {
	//     "args": [
	//       "make",
	//       "-j8"
	//     ],
	//     "env": [
	//       "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	//     ],
	//     "cwd": "/src"
	//   }
	// }
}
