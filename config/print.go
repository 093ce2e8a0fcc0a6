package config

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Print writes the effective configuration: the file with its defaults.
func (p *Plan) Print() ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&p.File); err != nil {
		return nil, fmt.Errorf("print the configuration: %w", err)
	}
	return out.Bytes(), nil
}
