package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// Format names what a ledger is kept in: a hash of its keys, its records, what stands
// between their parts, and their meaning.
func Format() string {
	h := sha256.New()
	fmt.Fprintln(h, Meaning)
	for i := range separators {
		fmt.Fprintln(h, separators[i].name, separators[i].char)
	}
	for _, k := range Keys {
		fmt.Fprintln(h, k.Name, k.Type, k.Of)
	}
	for _, r := range Kept {
		describe(h, r)
	}
	return hex.EncodeToString(h.Sum(nil))[:8]
}

func describe(w io.Writer, r *Record) {
	fmt.Fprintln(w, r.Name, r.separator().name)
	for i := range r.Fields {
		f := &r.Fields[i]
		fmt.Fprintln(w, f.Name, f.Kind, f.Each)
		if f.Of != nil {
			fmt.Fprintln(w, f.Of.Name)
		}
	}
}
