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
	b.WriteString("\nmechanisms\n")
	table(&b, func(row func(...string)) {
		for _, c := range d.WithoutLimits.Candidates {
			mark := ""
			if c.Taken {
				mark = "taken"
			}
			row(string(c.Mechanism), mark, c.Reason)
		}
	})
	b.WriteString("\nlimits\n")
	table(&b, func(row func(...string)) {
		for _, l := range d.Limits {
			reason := l.Reason
			if reason == "" && l.Mechanism != nil {
				reason = "by " + string(*l.Mechanism)
			}
			row(l.Name, told(l.Enforceable), reason)
		}
	})
	if len(d.Controllers) > 0 {
		b.WriteString("\ncontrollers\n")
		table(&b, func(row func(...string)) {
			for _, c := range d.Controllers {
				row(string(c.Mechanism), c.Cgroup, controllerList(c))
			}
		})
	}
	if len(d.Features) > 0 {
		b.WriteString("\nkernel\n")
		table(&b, func(row func(...string)) {
			for _, f := range d.Features {
				row(f.Name, told(f.Available), f.Detail)
			}
		})
	}
	for _, a := range d.Advice {
		advice(&b, a)
	}
	return b.String()
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

// table aligns rows of cells.
func table(b *strings.Builder, rows func(row func(...string))) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	rows(func(cells ...string) {
		for i := range cells {
			cells[i] = printable(cells[i])
		}
		fmt.Fprintln(w, "  "+strings.Join(cells, "\t"))
	})
	w.Flush()
}
