package config

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
)

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
	all, problems := parseKeys(file, data)
	b.plan.Keys = make(map[[sha256.Size]byte]string)
	for _, k := range all {
		sum, err := hex.DecodeString(k.SHA256)
		if err != nil {
			continue // parseKeys has checked them
		}
		b.plan.Keys[[sha256.Size]byte(sum)] = k.Flow
		b.plan.Flows.set(k)
		b.grouped(path, k.Flow, k.Group)
	}
	b.problems = append(b.problems, problems...)
}

// set applies what the entry of a key says about its flow.
func (fs *Flows) set(k Key) {
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
	if k.Group != "" {
		f.Group = k.Group
	}
	if k.Objectives != nil {
		f.Objectives = k.Objectives
	}
	if k.MaxPriority != nil {
		f.MaxPriority = k.MaxPriority
	}
	fs.exact[k.Flow] = &f
}
