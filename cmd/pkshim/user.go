package main

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// lookupUser reads USER[:GROUP], each a name or a number. A user known by name
// brings its supplementary groups; GROUP replaces them and the primary one, as
// in chroot(1) --userspec.
func lookupUser(text string) (*specs.User, error) {
	name, group, hasGroup := strings.Cut(text, ":")
	if name == "" || hasGroup && group == "" {
		return nil, errors.New("want USER or USER:GROUP")
	}
	u := &specs.User{}
	known, err := findUser(name, &u.UID)
	if err != nil {
		return nil, err
	}
	switch {
	case hasGroup:
		u.GID, err = findGroup(group)
		return u, err
	case known == nil:
		return nil, fmt.Errorf("not in the user database, so that its group is not known: name it, --user %s:GROUP", name)
	}
	if u.GID, err = id(known.Gid); err != nil {
		return nil, err
	}
	groups, err := known.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("look up the groups of %s: %w", name, err)
	}
	for _, g := range groups {
		n, err := id(g)
		if err != nil {
			return nil, err
		}
		if n != u.GID {
			u.AdditionalGids = append(u.AdditionalGids, n)
		}
	}
	return u, nil
}

// findUser gives the number of a user, and the entry if there is one.
func findUser(name string, uid *uint32) (known *user.User, err error) {
	if !number(name) {
		known, err = user.Lookup(name)
		if unknown := (user.UnknownUserError)(""); errors.As(err, &unknown) {
			return nil, errors.New("unknown user")
		} else if err != nil {
			return nil, err
		}
		*uid, err = id(known.Uid)
		return known, err
	}
	if *uid, err = id(name); err != nil {
		return nil, err
	}
	known, err = user.LookupId(name)
	if unknown := (user.UnknownUserIdError)(0); errors.As(err, &unknown) {
		return nil, nil
	}
	return known, err
}

func findGroup(name string) (uint32, error) {
	if number(name) {
		return id(name)
	}
	g, err := user.LookupGroup(name)
	if unknown := (user.UnknownGroupError)(""); errors.As(err, &unknown) {
		return 0, fmt.Errorf("unknown group %q", name)
	} else if err != nil {
		return 0, err
	}
	return id(g.Gid)
}

// number says that the text is meant as one: it begins with a digit or a sign,
// as no portable user name does.
func number(text string) bool { return strings.ContainsRune("0123456789+-", rune(text[0])) }

// id reads a user or group number. From 2³¹ on some programs read it as
// negative, and so as root's (CVE-2024-40635).
func id(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is not a user or group number from 0 to %d", text, 1<<31-1)
	}
	return uint32(n), nil
}
