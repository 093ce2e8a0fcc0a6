package config

import (
	"io"
	"os"
	"strconv"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/saturation"
)

// Empty is a file that asks for nothing but the defaults.
const Empty = "apiVersion: " + APIVersion + "\nkind: " + Kind + "\n"

// bare is what holds without a file: tenants are kept apart, and nothing is asked of
// the model servers but to answer.
const bare = Empty + "flowControl:\n" +
	"  defaultPriorityBand: {fairnessPolicyRef: " + fairness.RoundRobinType + "}\n" +
	"  saturationDetector: {pluginRef: " + saturation.ConcurrencyType + "}\n"

// Options say what holds beside a file.
type Options struct {
	// Registry knows the types of plug-ins.
	Registry *policies.Registry
	// Flags are what was given on the command line, by the flags' names without dashes;
	// each replaces what the file says. See Flags.
	Flags map[string][]string
	// FileFlag is the flag that named the file, such as --config; empty for none.
	FileFlag string
	// IgnoreFiles leaves alone what the file names: keys, certificates, endpoints. It
	// is for a check where these are not.
	IgnoreFiles bool
	// Unlocated takes a file that does not say where the model servers are, with a warning:
	// such as today's Endpoint Pickers have, which a flag tells.
	Unlocated bool
}

// Load reads a file from disk; see Parse. Without a path the flags and the defaults
// are all there is.
func Load(path string, o Options) (*Plan, Problems, error) {
	if path == "" {
		b := newBuilder("", o)
		b.decode([]byte(bare), b.file)
		b.places = map[string]place{"": {}} // nobody gave that
		return b.finish(o)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, unreadable(path, o.FileFlag, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, nil, unreadable(path, o.FileFlag, err)
	}
	b := newBuilder(path, o)
	b.decode(data, b.file)
	return b.finish(o)
}

// unreadable is the problem of a file that cannot be read at all.
func unreadable(path, flag string, err error) Problems {
	p := Problem{File: path, Text: fileError(err).Error()}
	if flag != "" {
		p = Problem{Flag: flag, Value: strconv.Quote(path), Text: p.Text}
	}
	return Problems{p}
}

// Parse reads a file and builds what it and the flags ask for. The error, if any, is
// Problems: everything that is wrong. The Problems beside it are warnings: what has no
// effect. Files that it names, such as API keys, are read as well.
func Parse(data []byte, o Options) (*Plan, Problems, error) {
	b := newBuilder("", o)
	b.decode(data, b.file)
	return b.finish(o)
}

func newBuilder(name string, o Options) *builder {
	b := &builder{}
	b.name, b.options, b.files = name, o, !o.IgnoreFiles
	b.registry, b.file = o.Registry.Clone(), newFile()
	return b
}

// finish puts the flags over what was read, and builds.
func (b *builder) finish(o Options) (*Plan, Problems, error) {
	if len(b.places) > 0 {
		b.forgetPlaces(o.Flags)
		b.override(o.Flags)
		b.file.complete()
		b.build()
		b.pools()
	}
	if len(b.problems) > 0 {
		return nil, b.warnings.sorted(b.name), b.problems.sorted(b.name)
	}
	return &b.plan, b.warnings.sorted(b.name), nil
}
