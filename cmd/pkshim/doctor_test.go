package main

import (
	"testing"

	"github.com/pkshim/pkshim/runtime"
	"github.com/pkshim/pkshim/spec"
)

func TestDiagnosisText(t *testing.T) {
	systemd, yes, no := spec.MechanismSystemd, true, false
	choice := runtime.Choice{Mechanism: &systemd, Candidates: []spec.Candidate{
		{Mechanism: spec.MechanismCgroupfs, Reason: "not ours"},
		{Mechanism: systemd, Taken: true, Reason: "it answers"},
	}}
	d := &runtime.Diagnosis{
		WithoutLimits: choice, WithLimits: choice,
		Controllers: []runtime.Controllers{
			{Mechanism: spec.MechanismCgroupfs, Reason: "gone"},
			{Mechanism: systemd, Cgroup: "/", Available: []string{"memory", "pids"}},
		},
		Limits: []runtime.Limit{
			{Name: "memory", Enforceable: &yes, Mechanism: &systemd},
			{Name: "cpu", Enforceable: &no, Reason: "no controller"},
			{Name: "swap", Reason: "nobody knows"},
		},
		Features: []runtime.Feature{{Name: "psi", Available: &no, Detail: "off\x1b[m"}},
		Advice: []runtime.Advice{
			{Text: "do both", File: &runtime.AdviceFile{Path: "/etc/x.conf", Content: "[X]\nY=z\n"}, Commands: []string{"reload x"}},
			{Text: "a newer kernel"},
		},
	}
	const want = `without limits  systemd
with limits     systemd: memory

mechanisms
  cgroupfs         not ours
  systemd   taken  it answers

limits
  memory  yes      by systemd
  cpu     no       no controller
  swap    unknown  nobody knows

controllers
  cgroupfs     unknown: gone
  systemd   /  memory pids

kernel
  psi  no  off�[m

to improve: do both
  file /etc/x.conf
	[X]
	Y=z
  command
	reload x

to improve: a newer kernel
`
	if got := diagnosis(d); got != want {
		t.Errorf("the text is\n%s\nwant\n%s", got, want)
	}
	const nothing = "without limits  no mechanism can be had\nwith limits     no mechanism can be had: none is certain to be enforced\n"
	if got := diagnosis(&runtime.Diagnosis{}); got != nothing {
		t.Errorf("without anything it is %q, want %q", got, nothing)
	}
}
