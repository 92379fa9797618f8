package runtime

import (
	"testing"

	"github.com/pkshim/pkshim/spec"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name, text string
		path       string
	}{
		{"nothing", `{"process":{"args":["x"]}}`, ""},
		{"good", `{"process":{"args":["x"]},"linux":{"cgroupsPath":"/a/b","resources":{"memory":{"limit":8192},"unified":{"memory.high":"1M"}}}}`, ""},
		{"less than a page", `{"process":{"args":["x"]},"linux":{"resources":{"memory":{"limit":5}}}}`, "linux.resources.memory.limit"},
		{"two lines", `{"process":{"args":["x"]},"linux":{"resources":{"unified":{"memory.high":"1\n2"}}}}`, `linux.resources.unified["memory.high"]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := spec.Decode([]byte(tt.text), true)
			if err != nil {
				t.Fatal(err)
			}
			problems := Check(s)
			if tt.path == "" {
				if len(problems) > 0 {
					t.Errorf("%v", problems)
				}
				return
			}
			if len(problems) != 1 || problems[0].Path != tt.path {
				t.Errorf("%v, want a problem at %s", problems, tt.path)
			}
		})
	}
}
