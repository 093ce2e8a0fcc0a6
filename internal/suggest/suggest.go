// Package suggest finds what someone who mistyped a name may have meant.
package suggest

import "strings"

// Closest returns the known name that is most like the one typed: one that it
// abbreviates, or one that differs from it in a few letters. It returns "" if none is
// like it. Of equals the first of the list is taken.
func Closest(typed string, known []string) string {
	word := plain(typed)
	if word == "" {
		return ""
	}
	best, bestDistance := "", 1+max(1, len(word)/4)
	for _, name := range known {
		if d := distance(word, plain(name)); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	if best != "" || len(word) < 3 {
		return best
	}
	for _, most := range []int{0, 1} { // the shortest that begins with it, or nearly so
		for _, name := range known {
			begins := plain(name)
			if len(begins) >= len(word) && distance(word, begins[:len(word)]) <= most && (best == "" || len(name) < len(best)) {
				best = name
			}
		}
		if best != "" {
			return best
		}
	}
	for _, name := range known { // such as round_robin_policy of round-robin-fairness-policy
		if abbreviates(words(typed), words(name)) && (best == "" || len(name) < len(best)) {
			best = name
		}
	}
	return best
}

// plain is a name without case and without what separates its words.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_. ", r) {
			return -1
		}
		return r
	}, strings.ToLower(name))
}

func words(name string) []string {
	return strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune("-_. ", r) })
}

// abbreviates reports whether some of the name's words, in their order, are those
// typed.
func abbreviates(typed, name []string) bool {
	for _, w := range name {
		if len(typed) > 0 && w == typed[0] {
			typed = typed[1:]
		}
	}
	return len(typed) == 0
}

// distance is the number of letters to insert, drop, change or swap with their
// neighbour that makes one word of the other.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
