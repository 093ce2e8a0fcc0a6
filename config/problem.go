package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with what was given, or that has no effect. It is
// named as it was given: by the flag, or by the file's line and the field.
type Problem struct {
	// Flag is the flag that gave it, such as --listen; empty for what a file gave.
	Flag string
	// File is the file's name as it was given, and Line the place in it, from 1; 0 when
	// it is about the whole file, and both empty without a file.
	File string
	Line int
	// Path names the field, such as flowControl.priorityBands[1].maxBytes.
	Path string
	// Value is what was given, quoted; empty for what was not, and for more than a word.
	Value string
	// Text says what is wrong and what would be right.
	Text string
}

// String writes the problem in one line, as compilers do.
func (p Problem) String() string {
	if where := p.where(); where != "" {
		return where + ": " + p.Text
	}
	return p.Text
}

// where names what was given.
func (p Problem) where() string {
	what := p.Path
	var where string
	switch {
	case p.Flag != "":
		what = p.Flag
	case p.File != "" && p.Line > 0:
		where = fmt.Sprintf("%s:%d", p.File, p.Line)
	case p.File != "":
		where = p.File
	case p.Line > 0:
		where = fmt.Sprintf("line %d", p.Line)
	}
	if p.Value != "" {
		what = strings.TrimPrefix(what+" "+p.Value, " ")
	}
	if where != "" && what != "" {
		where += ": "
	}
	return where + what
}

// Problems is an error that holds all that is wrong: flags first, then what the file
// says in the order of its lines.
type Problems []Problem

// Error implements error: a line for each problem.
func (ps Problems) Error() string {
	var text []string
	for _, p := range ps {
		text = append(text, p.String())
	}
	return strings.Join(text, "\n")
}

// sorted puts them in order; file is the main one, others follow it.
func (ps Problems) sorted(file string) Problems {
	rank := func(p Problem) int {
		switch {
		case p.Flag != "":
			return 0
		case p.File == file:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Line, b.Line))
	})
	seen := make(map[string]bool) // a flag may set two fields, and what is wrong for all pools is wrong for each
	return slices.DeleteFunc(ps, func(p Problem) bool {
		again := seen[p.String()]
		seen[p.String()] = true
		return again
	})
}

// place is where a value was given.
type place struct {
	flag  string // by this one, such as --listen
	line  int    // or on this line of the file
	value string // as it was written, if it is one word
	own   bool   // in a pool's part of the file

	unread bool // it could not be read, which has been told
}

// shown is the value for a message: quoted, and cut if it is long.
func (p place) shown() string {
	const most = 80
	text := withoutPassword(p.value)
	if v := []rune(text); len(v) > most {
		return fmt.Sprintf("%q...", string(v[:most]))
	}
	return fmt.Sprintf("%q", text)
}

// withoutPassword is a URL, well-formed or not, without the password that it may hold.
func withoutPassword(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	at := strings.LastIndex(rest, "@")
	if !ok || at < 0 {
		return text
	}
	user, _, secret := strings.Cut(rest[:at], ":")
	if !secret {
		return text
	}
	return scheme + "://" + user + ":xxxxx" + rest[at:]
}
