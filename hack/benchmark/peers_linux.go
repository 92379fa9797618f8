package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A peer is a way to run one workload to its end.
type peer struct {
	name string
	// most is the part of this peer's median that pkshim's may be; 0: no target.
	most float64
	// group is what the path of the workload's cgroup contains; "": it stays in ours.
	group string
	// command is the command line for a workload. {id} stands for a name of the
	// run that was not used before.
	command func(b *bench, workload []string) ([]string, error)
}

var (
	bare = peer{name: "fork and exec", command: func(_ *bench, w []string) ([]string, error) { return w, nil }}

	pkshimCgroupfs = pkshim("cgroupfs", "/pkshim-")
	pkshimSystemd  = pkshim("systemd", ".scope")
	pkshimPgroup   = pkshim("pgroup", "")

	crunCgroupfs = bundled("crun", "", "/peer")
	runcCgroupfs = bundled("runc", "", "/peer")
	crunSystemd  = bundled("crun", "--systemd-cgroup", ".scope")
	runcSystemd  = bundled("runc", "--systemd-cgroup", ".scope")

	systemdRun = peer{name: "systemd-run --scope", group: ".scope", command: func(_ *bench, w []string) ([]string, error) {
		return append([]string{"systemd-run", "--scope", "--quiet"}, w...), nil
	}}
)

func pkshim(mechanism, group string) peer {
	return peer{name: "pkshim " + mechanism, group: group, command: func(_ *bench, w []string) ([]string, error) {
		return append([]string{"./pkshim", "run", "--mechanism", mechanism, "--"}, w...), nil
	}}
}

// bundled is an OCI runtime that is asked for what pkshim gives: a process of
// the host's in a cgroup of its own, without namespaces.
func bundled(program, flag, group string) peer {
	return peer{name: strings.TrimSpace(program + " " + flag), group: group, command: func(b *bench, w []string) ([]string, error) {
		path := ""
		if flag == "" {
			path = b.top() + group
		}
		bundle, err := b.bundle(path, w)
		if err != nil {
			return nil, err
		}
		command := []string{program}
		if flag != "" {
			command = append(command, flag)
		}
		return append(command, "run", "--bundle", bundle, "{id}"), nil
	}}
}

// bundle writes the bundle of a workload. crun wants even the empty lists.
func (b *bench) bundle(cgroup string, workload []string) (string, error) {
	type object = map[string]any
	config, err := json.Marshal(object{
		"ociVersion": "1.0.2",
		"process": object{
			"user": object{"uid": 0, "gid": 0}, "args": workload, "cwd": "/", "env": []string{"PATH=" + os.Getenv("PATH")},
		},
		"root":   object{"path": "/"},
		"mounts": []string{},
		"linux":  object{"cgroupsPath": cgroup, "namespaces": []string{}, "resources": b.resources()},
	})
	if err != nil {
		return "", err
	}
	if dir, ok := b.bundles[string(config)]; ok {
		return dir, nil
	}
	dir := filepath.Join(b.dir, fmt.Sprint(len(b.bundles)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	b.bundles[string(config)] = dir
	return dir, os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644)
}
