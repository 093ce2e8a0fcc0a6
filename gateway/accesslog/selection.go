// Package accesslog is the request log: a line of JSON for each request that is over, with
// whose it was, what it waited for, where it went and what it cost.
package accesslog

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Selection says which requests are logged. The zero value is none.
type Selection struct {
	refused bool    // those that the gateway itself ended
	part    float64 // of all
}

// Parse reads a selection: off, refused, all, or sample:PART with a part from 0 to 1.
func Parse(text string) (Selection, error) {
	switch text {
	case "off", "":
		return Selection{}, nil
	case "refused":
		return Selection{refused: true}, nil
	case "all":
		return Selection{part: 1}, nil
	}
	if part, ok := strings.CutPrefix(text, "sample:"); ok {
		if p, err := strconv.ParseFloat(part, 64); err == nil && p > 0 && p <= 1 {
			return Selection{part: p}, nil
		}
	}
	return Selection{}, fmt.Errorf("must be off, refused, all or sample:PART, with a part above 0 and up to 1 such as sample:0.01")
}

// Wants reports whether a request is to be logged that the gateway ended itself, or not.
func (s Selection) Wants(refused bool) bool {
	return refused && s.refused || s.part == 1 || s.part > 0 && rand.Float64() < s.part
}
