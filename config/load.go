package config

import (
	"fmt"
	"io"
	"os"

	"github.com/weirflow/weir/policies"
)

// Empty is a file that asks for nothing but the defaults.
const Empty = "apiVersion: " + APIVersion + "\nkind: " + Kind + "\n"

// Load reads a file from disk; see Parse.
func Load(path string, registry *policies.Registry, override func(*File)) (*Plan, Problems, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(data, registry, override)
}

// Parse reads a file and builds what it asks for, its plug-ins with the registry. An override, if not nil, changes
// what was read before that, as flags do. The error, if any, is Problems:
// everything that is wrong. The Problems beside it are warnings: what has no
// effect. Files that it names, such as API keys, are read as well.
func Parse(data []byte, registry *policies.Registry, override func(*File)) (*Plan, Problems, error) {
	b := &builder{registry: registry.Clone()}
	b.decode(data, &b.file)
	if override != nil {
		override(&b.file)
	}
	if len(b.lines) > 0 {
		b.build()
	}
	if len(b.problems) > 0 {
		return nil, b.warnings.sorted(), b.problems.sorted()
	}
	return &b.plan, b.warnings.sorted(), nil
}
