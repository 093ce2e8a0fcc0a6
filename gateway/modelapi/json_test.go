package modelapi

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzMembers wants the same members as encoding/json finds.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { "a" : 1 , "b":[1,{"c":"]"}],"\u0064\"":"\\\"}" } `, `{"a":1,"a":2}`, `{"a":true}`, `[]`, `"x"`, `{"a":{}}x`, `nul`, `{"a":-1e5}`, `{"A":1,"a":[[],{}]}`,
		`{"a":"\u00e9 \\ud800 é and more than eight bytes","b\\n":0.5E+3}`, "{\"a\":\"a tab\tin it\"}", `{"a":01}`, `{"a":1,}`, `{,}`, `{"a":[1,]}`,
		`{"a":"\x"}`, `{"a":tru}`, `{"a":"1234567`, `{"a" 1}`, "{}\x00", `{"a":[` + strings.Repeat("[", 9998) + strings.Repeat("]", 9998) + `]}`,
		`{"a":[` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := make(map[string]string)
		err := members(data, func(name, value []byte) { got[string(name)] = string(value) })
		want := make(map[string]json.RawMessage)
		theirs := json.Unmarshal(data, &want)
		if want == nil {
			return // null, which is none of ours
		}
		if (err == nil) != (theirs == nil) {
			t.Fatalf("%v, encoding/json has %v", err, theirs)
		}
		if err != nil {
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%d members, want %d", len(got), len(want))
		}
		for name, value := range want {
			if got[name] != string(value) {
				t.Errorf("%q is %s, want %s", name, got[name], value)
			}
			var list []json.RawMessage
			n := elements(value)
			if json.Unmarshal(value, &list) == nil && list != nil {
				if n != len(list) {
					t.Errorf("%s has %d elements, want %d", value, n, len(list))
				}
			} else if n != -1 {
				t.Errorf("%s has %d elements", value, n)
			}
		}
	})
}
