package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a file, or that has no effect.
type Problem struct {
	// Line is where it is, from 1; 0 when it is about the whole file.
	Line int
	// Path names the field, such as flowControl.priorityBands[1].maxBytes.
	Path string
	// Text says what is wrong and what would be right.
	Text string
}

// String writes the problem in one line.
func (p Problem) String() string {
	var where []string
	if p.Line > 0 {
		where = append(where, fmt.Sprint("line ", p.Line))
	}
	if p.Path != "" {
		where = append(where, p.Path)
	}
	if len(where) == 0 {
		return p.Text
	}
	return strings.Join(where, ", ") + ": " + p.Text
}

// Problems is an error that holds all that is wrong with a file, in the order of
// its lines.
type Problems []Problem

// Error implements error: a line for each problem.
func (ps Problems) Error() string {
	var text []string
	for _, p := range ps {
		text = append(text, p.String())
	}
	return strings.Join(text, "\n")
}

func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int { return a.Line - b.Line })
	return ps
}
