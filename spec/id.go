package spec

import "fmt"

// MaxIDLength is the length of the longest container ID. An ID becomes part of a
// systemd unit's name, which has at most 255 bytes with its prefix and ".scope".
const MaxIDLength = 200

// ValidateID checks a container ID: 1 to MaxIDLength of the characters
// A-Z a-z 0-9 _ + . and -, as runc has it, and neither "." nor "..", since an
// ID is also the name of a directory.
func ValidateID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("container ID is empty")
	case len(id) > MaxIDLength:
		return fmt.Errorf("container ID %s has %d characters, at most %d are allowed", clip(id), len(id), MaxIDLength)
	case id == "." || id == "..":
		return fmt.Errorf("container ID %q is not a name", id)
	}
	for _, r := range id {
		if !isAlnum(r) && r != '_' && r != '+' && r != '.' && r != '-' {
			return fmt.Errorf("container ID %s: character %q is not one of A-Z a-z 0-9 _ + . -", clip(id), r)
		}
	}
	return nil
}

func isAlnum(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
