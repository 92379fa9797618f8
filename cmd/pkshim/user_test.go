package main

import (
	"os/user"
	"testing"
)

func TestLookupUser(t *testing.T) {
	for text, want := range map[string][2]uint32{
		"12345:54321":           {12345, 54321},
		"0:0":                   {0, 0},
		"2147483647:2147483647": {1<<31 - 1, 1<<31 - 1},
	} {
		u, err := lookupUser(text)
		if err != nil || u.UID != want[0] || u.GID != want[1] || len(u.AdditionalGids) > 0 {
			t.Errorf("lookupUser(%q) = %+v, %v; want %d", text, u, err, want)
		}
	}
}

// Spellings that other programs took for root (CVE-2024-40635, CVE-2026-30892).
func TestLookupUserRefuses(t *testing.T) {
	for _, text := range []string{
		"", ":", ":0", "1000:", "0x", "0x0", "00x", "-1", "-0", "+0", "+1", "4294967295", "4294967296", "2147483648",
		"18446744073709551616", "1000:-1", "1000:0x", "1000:4294967295", "1000:2147483648", "1000:1000:1000",
		" ", " 0", "0 ", "0\n", "1_0", "1e3", "٣", "no-such-user-here", "no-such-user-here:0", "0:no-such-group-here",
		"12345678", // no entry, and so no group
	} {
		if u, err := lookupUser(text); err == nil {
			t.Errorf("lookupUser(%q) = %+v, want an error", text, u)
		}
	}
}

// The name and the number of a user mean the same.
func TestLookupUserNames(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if known, err := user.LookupId(me.Uid); err != nil || known.Username != me.Username {
		t.Skipf("needs an entry in the user database: %v", err)
	}
	name, err := lookupUser(me.Username)
	if err != nil {
		t.Fatal(err)
	}
	number, err := lookupUser(me.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if name.UID != number.UID || name.GID != number.GID || len(name.AdditionalGids) != len(number.AdditionalGids) {
		t.Errorf("by name %+v, by number %+v", name, number)
	}
	grouped, err := lookupUser(me.Username + ":12345")
	if err != nil || grouped.GID != 12345 || len(grouped.AdditionalGids) > 0 {
		t.Errorf("with a group %+v, %v", grouped, err)
	}
}
