package config

import (
	"fmt"
	"os"
)

// Load reads a file from disk; see Parse.
func Load(path string) (*Plan, Problems, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(data)
}

// Parse reads a file and builds what it asks for. The error, if any, is Problems:
// everything that is wrong. Otherwise the Problems are warnings: what has no
// effect.
func Parse(data []byte) (*Plan, Problems, error) {
	b := &builder{}
	b.decode(data, &b.file)
	if len(b.nodesRead()) > 0 {
		b.build()
	}
	if len(b.problems) > 0 {
		return nil, b.warnings.sorted(), b.problems.sorted()
	}
	return &b.plan, b.warnings.sorted(), nil
}
