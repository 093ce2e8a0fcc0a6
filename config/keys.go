package config

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
)

// key is one entry of an API key file.
type key struct {
	SHA256   string  `yaml:"sha256"`
	Flow     string  `yaml:"flow"`
	Weight   float64 `yaml:"weight,omitempty"`
	Priority *int    `yaml:"priority,omitempty"`

	Objectives  []string `yaml:"objectives,omitempty"`
	MaxPriority *int     `yaml:"maxPriority,omitempty"`
}

// keys reads the API key file, if there is one. Its problems have its own lines.
func (b *builder) keys() {
	const path = "weir.identity.apiKeys"
	file := b.file.Weir.Identity.APIKeys
	if file == "" || !b.files {
		return
	}
	before := len(b.problems)
	if b.secret(path, file); len(b.problems) > before {
		return
	}
	data, err := os.ReadFile(file)
	if err != nil {
		b.wrong(path, "%v", fileError(err))
		return
	}
	d := &decoder{name: file, secret: true}
	var all []key
	d.decode(data, &all)
	b.plan.Keys = make(map[[sha256.Size]byte]string)
	for i, k := range all {
		at := indexed("", i)
		sum, err := hex.DecodeString(k.SHA256)
		if err != nil || len(sum) != sha256.Size {
			d.fail(d.places[at].line, at+".sha256", "must be the SHA-256 of the key in 64 hexadecimal digits, as by: printf %%s KEY | sha256sum")
			continue
		}
		if k.Flow == "" {
			d.fail(d.places[at].line, at+".flow", "is missing; give the flow that the key stands for")
		}
		if _, given := d.places[at+".weight"]; given && !(k.Weight > 0 && k.Weight <= 1e6) {
			d.fail(d.places[at].line, at+".weight", "must be above 0 and at most 1000000")
		}
		b.plan.Keys[[sha256.Size]byte(sum)] = k.Flow
		b.plan.Flows.set(k)
	}
	b.problems = append(b.problems, d.problems...)
}

// set applies what the entry of a key says about its flow.
func (fs *Flows) set(k key) {
	f := Flow{ID: k.Flow, Weight: 1}
	if known := fs.find(k.Flow); known != nil {
		f = *known
	}
	if k.Priority != nil {
		f.Priority = k.Priority
	}
	if k.Weight > 0 {
		f.Weight = k.Weight
	}
	if k.Objectives != nil {
		f.Objectives = k.Objectives
	}
	if k.MaxPriority != nil {
		f.MaxPriority = k.MaxPriority
	}
	fs.exact[k.Flow] = &f
}
