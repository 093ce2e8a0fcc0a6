package config

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Key is an entry of a file of API keys.
type Key struct {
	SHA256   string  `yaml:"sha256"`
	Flow     string  `yaml:"flow"`
	Group    string  `yaml:"group,omitempty"`
	Weight   float64 `yaml:"weight,omitempty"`
	Priority *int    `yaml:"priority,omitempty"`

	Objectives  []string `yaml:"objectives,omitempty"`
	MaxPriority *int     `yaml:"maxPriority,omitempty"`
}

// NewKey makes a key for a flow, and its entry. The key itself is kept nowhere.
func NewKey(flow string) (key string, entry Key) {
	key = "weir-" + rand.Text()
	return key, Key{SHA256: HashKey(key), Flow: flow}
}

// HashKey is what stands for a key in its file.
func HashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// ReadKeys reads a file of API keys. With problems, the keys are those that can be used.
func ReadKeys(file string) ([]Key, Problems) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, Problems{{File: file, Text: fileError(err).Error()}}
	}
	return parseKeys(file, data)
}

func parseKeys(file string, data []byte) (keys []Key, problems Problems) {
	d := &decoder{name: file, secret: true}
	var all []Key
	d.decode(data, &all)
	for i, k := range all {
		at := indexed("", i)
		if sum, err := hex.DecodeString(k.SHA256); err != nil || len(sum) != sha256.Size {
			d.fail(d.places[at].line, at+".sha256", "must be the SHA-256 of the key in 64 hexadecimal digits, as by: printf %%s KEY | sha256sum")
			continue
		}
		if k.Flow == "" {
			d.fail(d.places[at].line, at+".flow", "is missing; give the flow that the key stands for")
		}
		if err := checkID(k.Flow); err != nil {
			d.fail(d.places[at].line, at+".flow", "%v", err)
		}
		if _, given := d.places[at+".weight"]; given && !(k.Weight > 0 && k.Weight <= 1e6) {
			d.fail(d.places[at].line, at+".weight", "must be above 0 and at most 1000000")
		}
		keys = append(keys, k)
	}
	return keys, d.problems
}

// AddKey adds an entry to a file of API keys, which is made if there is none. A reader finds
// the old file or the new one. Of two changes at once one may be lost: it is for a person. A
// file with mistakes is left as it is, and the error is Problems.
func AddKey(file string, entry Key) error {
	if err := checkID(entry.Flow); err != nil {
		return fmt.Errorf("the flow %.64q %w", entry.Flow, err)
	}
	return editKeys(file, func(list *yaml.Node) error {
		var node yaml.Node
		if err := node.Encode(entry); err != nil {
			return fmt.Errorf("encode the key: %w", err)
		}
		list.Content = append(list.Content, &node)
		return nil
	})
}

// RemoveKey takes the entry of that hash out of a file of API keys, as AddKey adds one.
func RemoveKey(file, hash string) error {
	return editKeys(file, func(list *yaml.Node) error {
		for i, node := range list.Content {
			var k Key
			if node.Decode(&k) == nil && k.SHA256 == hash {
				list.Content = append(list.Content[:i], list.Content[i+1:]...)
				return nil
			}
		}
		return errors.New("the key is not in it any more")
	})
}

// editKeys changes the list in a file, in one step: whoever reads it finds the old or the
// new one. Its comments stay.
func editKeys(file string, edit func(list *yaml.Node) error) error {
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", file, fileError(err))
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	document := &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{list}}
	if len(bytes.TrimSpace(data)) > 0 {
		if _, problems := parseKeys(file, data); len(problems) > 0 {
			return problems
		}
		if err := yaml.Unmarshal(data, document); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		list = document.Content[0]
	}
	if err := edit(list); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	list.Style = 0 // block, also where it was [] before
	var text bytes.Buffer
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	if err := e.Encode(document); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return replaceFile(file, text.Bytes())
}

// replaceFile writes a file in one step. A new one is its owner's alone.
func replaceFile(file string, data []byte) error {
	mode := os.FileMode(0o600)
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), ".keys-*")
	if err != nil {
		return fmt.Errorf("%s: %w", file, fileError(err))
	}
	defer os.Remove(temporary.Name()) //nolint:errcheck // it has its name no more
	_, err = temporary.Write(data)
	if err := errors.Join(err, temporary.Chmod(mode), temporary.Close()); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.Rename(temporary.Name(), file)
}
