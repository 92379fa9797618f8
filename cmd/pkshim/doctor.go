package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/pkshim/pkshim/runtime"
	"github.com/pkshim/pkshim/spec"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "say what this host can do, and what would improve it",
		Description: "Says which mechanism a run would get here and why not a better one, which limits\n" +
			"can be had, and the command or file that would improve that. It changes nothing.\n" +
			"The exit code is 0 whatever the diagnosis is.",
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print the diagnosis as JSON"}},
		Action: doctorAction,
	}
}

func doctorAction(c *cli.Context) error {
	if c.NArg() != 0 {
		return fmt.Errorf("unexpected argument %q", c.Args().First())
	}
	d := runtime.Diagnose(c.Context)
	if c.Bool("json") {
		return printJSON(d)
	}
	_, err := os.Stdout.WriteString(diagnosis(d))
	return err
}

// printJSON prints a document to standard output.
func printJSON(document any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false) // a <, > or & in a message stays legible
	e.SetIndent("", "  ")
	return e.Encode(document)
}

// diagnosis is the diagnosis for people.
func diagnosis(d *runtime.Diagnosis) string {
	var b strings.Builder
	fmt.Fprintf(&b, "without limits  %s\n", chosen(d.WithoutLimits.Mechanism))
	fmt.Fprintf(&b, "with limits     %s: %s\n", chosen(d.WithLimits.Mechanism), enforceable(d.Limits))
	section(&b, "mechanisms", d.WithoutLimits.Candidates, func(c spec.Candidate) []string {
		mark := ""
		if c.Taken {
			mark = "taken"
		}
		return []string{string(c.Mechanism), mark, c.Reason}
	})
	section(&b, "limits", d.Limits, func(l runtime.Limit) []string {
		reason := l.Reason
		if reason == "" && l.Mechanism != nil {
			reason = "by " + string(*l.Mechanism)
		}
		return []string{l.Name, told(l.Enforceable), reason}
	})
	section(&b, "controllers", d.Controllers, func(c runtime.Controllers) []string {
		return []string{string(c.Mechanism), c.Cgroup, controllerList(c)}
	})
	section(&b, "kernel", d.Features, func(f runtime.Feature) []string {
		return []string{f.Name, told(f.Available), f.Detail}
	})
	for _, a := range d.Advice {
		advice(&b, a)
	}
	return b.String()
}

// section prints a title and a row of aligned cells for each item.
func section[T any](b *strings.Builder, title string, items []T, row func(T) []string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, item := range items {
		cells := row(item)
		for i := range cells {
			cells[i] = printable(cells[i])
		}
		fmt.Fprintln(w, "  "+strings.Join(cells, "\t"))
	}
	w.Flush()
}

func chosen(m *spec.Mechanism) string {
	if m == nil {
		return "no mechanism can be had"
	}
	return string(*m)
}

// enforceable names the limits that can be had.
func enforceable(limits []runtime.Limit) string {
	var names []string
	for _, l := range limits {
		if l.Enforceable != nil && *l.Enforceable {
			names = append(names, l.Name)
		}
	}
	if len(names) == 0 {
		return "none is certain to be enforced"
	}
	return strings.Join(names, ", ")
}

// told is the word for one of three values.
func told(b *bool) string {
	switch {
	case b == nil:
		return "unknown"
	case *b:
		return "yes"
	}
	return "no"
}

func controllerList(c runtime.Controllers) string {
	switch {
	case c.Available == nil:
		return "unknown: " + c.Reason
	case len(c.Available) == 0:
		return "none"
	}
	return strings.Join(c.Available, " ")
}

// advice prints one piece of advice; what is to be copied is indented by a tab.
func advice(b *strings.Builder, a runtime.Advice) {
	fmt.Fprintf(b, "\nto improve: %s\n", printable(a.Text))
	if a.File != nil {
		fmt.Fprintf(b, "  file %s\n", printable(a.File.Path))
		for line := range strings.Lines(a.File.Content) {
			fmt.Fprintf(b, "\t%s\n", printable(strings.TrimSuffix(line, "\n")))
		}
	}
	if a.File != nil && len(a.Commands) > 0 {
		b.WriteString("  command\n")
	}
	for _, c := range a.Commands {
		fmt.Fprintf(b, "\t%s\n", printable(c))
	}
}
