package spawn

import (
	"context"
	"os"
	"testing"
)

// Both start the same program and wait for it.
func BenchmarkStart(b *testing.B) {
	b.Run("spawn", func(b *testing.B) {
		for b.Loop() {
			p, err := (&Command{Args: []string{"/bin/true"}, Stdio: [3]int{0, 1, 2}}).Start(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			if _, err := p.Wait(context.Background()); err != nil {
				b.Fatal(err)
			}
			p.Close()
		}
	})
	b.Run("os", func(b *testing.B) {
		for b.Loop() {
			p, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := p.Wait(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A guard, and its dismissal.
func BenchmarkGuard(b *testing.B) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	for b.Loop() {
		g, err := NewGuard(AtOwnersEnd{Kill: int(null.Fd())})
		if err != nil {
			b.Fatal(err)
		}
		if err := g.Dismiss(); err != nil {
			b.Fatal(err)
		}
	}
}
