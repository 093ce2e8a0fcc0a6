package redis

import "testing"

// TestNumbers wants what is no number, and what no integer holds, to make a reply unreadable: it would
// be a rank that compares with none, or a count of a quintillion.
func TestNumbers(t *testing.T) {
	for text, want := range map[string]struct{ integer, number bool }{
		"12":                  {true, true},
		"-3":                  {true, true},
		"1e3":                 {true, true},
		"0.5":                 {true, true},
		"9223372036854775807": {true, true},
		"1e19":                {false, true},
		"-1e19":               {false, true},
		"inf":                 {false, true},
		"-inf":                {false, true},
		"nan":                 {false, false},
		"-nan":                {false, false},
		"":                    {false, false},
		"x":                   {false, false},
	} {
		var r reader
		if r.integer("it", text); (r.err == nil) != want.integer {
			t.Errorf("%q as an integer: %v", text, r.err)
		}
		r = reader{}
		if r.number("it", text); (r.err == nil) != want.number {
			t.Errorf("%q as a number: %v", text, r.err)
		}
	}
}
