package spec

import "strings"

// suggest guesses which property was meant by an unknown name in the object at
// path: a near one of the same object, another tool's word for one, or one that
// belongs elsewhere, then as a whole path.
func suggest(path, name string, known []property) string {
	names := make([]string, len(known))
	for i := range known {
		names[i] = known[i].name
	}
	if path == "process" {
		if s := otherWord(name); s != "" {
			return s
		}
	}
	if s := nearest(name, names); s != "" {
		return s
	}
	return elsewhere(path, name)
}

// otherWord translates what Docker, Compose and systemd call a process property.
func otherWord(name string) string {
	switch strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name)) {
	case "command", "cmd", "argv", "entrypoint", "execstart":
		return "args"
	case "environment", "envs":
		return "env"
	case "workdir", "workingdir", "workingdirectory", "dir":
		return "cwd"
	}
	return ""
}

// elsewhere is the path of the one supported property of that name, looked for
// first below path and then in the whole spec.
func elsewhere(path, name string) string {
	var below, all []string
	for _, f := range Fields() {
		if f.Class != Supported || f.Path != name && !strings.HasSuffix(f.Path, "."+name) {
			continue
		}
		all = append(all, f.Path)
		if path == "" || strings.HasPrefix(f.Path, path+".") {
			below = append(below, f.Path)
		}
	}
	for _, found := range [][]string{below, all} {
		if len(found) == 1 {
			return found[0]
		}
	}
	return ""
}

// nearest is the one of names that is closest to name, or "" if none is close:
// of the same letters but for case, or with an edit for every three letters.
func nearest(name string, names []string) string {
	const longest = 64 // no name of OCI's is longer, and the distance costs the product of the lengths
	if len(name) > longest {
		return ""
	}
	best, least := "", max(1, len(name)/3)+1
	for _, n := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours that make a into b (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// nearestOf is nearest among constants with a common prefix, which does not
// count and which name may lack.
func nearestOf(name string, names []string, prefix string) string {
	short := make([]string, len(names))
	for i, n := range names {
		short[i] = strings.TrimPrefix(n, prefix)
	}
	if s := nearest(strings.TrimPrefix(strings.ToUpper(name), prefix), short); s != "" {
		return prefix + s
	}
	return ""
}
