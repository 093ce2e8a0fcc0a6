package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds on a file.
const (
	maxFile  = 1 << 20 // bytes
	maxNodes = 100_000 // values, those reached by aliases counted each time
)

// scalar is a type that is written as one word.
type scalar interface{ parse(text string) error }

// decoder reads YAML into structs, and goes on after a problem.
type decoder struct {
	problems Problems
	lines    map[string]int // by path
	nodes    int
}

func (d *decoder) fail(line int, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{Line: line, Path: path, Text: fmt.Sprintf(format, args...)})
}

// decode reads one document into the struct that into points to.
func (d *decoder) decode(data []byte, into any) {
	d.lines = make(map[string]int)
	if len(data) > maxFile {
		d.fail(0, "", "the file has %d bytes, %d are allowed", len(data), maxFile)
		return
	}
	documents := yaml.NewDecoder(bytes.NewReader(data))
	var node yaml.Node
	if err := documents.Decode(&node); err != nil {
		if errors.Is(err, io.EOF) {
			d.fail(0, "", "the file is empty")
			return
		}
		d.syntax(err)
		return
	}
	if err := documents.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		d.fail(0, "", "the file has more than one document, or ends in something else than YAML")
	}
	d.value(node.Content[0], "", reflect.ValueOf(into).Elem())
}

// syntax reports what the YAML parser says, with its line where it names one.
func (d *decoder) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, what, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(number); err == nil {
				d.fail(line, "", "not YAML: %s", what)
				return
			}
		}
	}
	d.fail(0, "", "not YAML: %s", text)
}

func (d *decoder) value(n *yaml.Node, path string, into reflect.Value) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if d.nodes++; d.nodes > maxNodes {
		if d.nodes == maxNodes+1 {
			d.fail(n.Line, path, "the file has more than %d values", maxNodes)
		}
		return
	}
	d.lines[path] = n.Line
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		d.value(n, path, into.Elem())
		d.nodes--
		return
	}
	if raw, ok := into.Addr().Interface().(*Raw); ok {
		raw.node = n
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		d.mapping(n, path, into)
	case reflect.Slice:
		d.sequence(n, path, into)
	default:
		d.word(n, path, into)
	}
}

// mapping reads a struct's fields.
func (d *decoder) mapping(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.fail(n.Line, path, "%s is given, a mapping of fields is needed", describe(n))
		return
	}
	fields := fieldsOf(into.Type())
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		f, known := fields[key.Value]
		switch {
		case !known:
			names := make([]string, 0, len(fields))
			for name := range fields {
				names = append(names, name)
			}
			slices.Sort(names)
			d.fail(key.Line, at, "no such field; here may be: %s", strings.Join(names, ", "))
		case seen[key.Value]:
			d.fail(key.Line, at, "given twice")
		default:
			d.value(value, at, into.FieldByIndex(f.Index))
		}
		seen[key.Value] = true
	}
}

func (d *decoder) sequence(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n.Line, path, "%s is given, a list is needed", describe(n))
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.value(item, fmt.Sprintf("%s[%d]", path, i), into.Index(i))
	}
}

// word reads a scalar.
func (d *decoder) word(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n.Line, path, "%s is given, a single value is needed", describe(n))
		return
	}
	if s, ok := into.Addr().Interface().(scalar); ok {
		if err := s.parse(n.Value); err != nil {
			d.fail(n.Line, path, "%v", err)
		}
		return
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(n.Value)
	case reflect.Bool:
		b, err := strconv.ParseBool(n.Value)
		if err != nil {
			d.fail(n.Line, path, "%q is given, true or false is needed", n.Value)
		}
		into.SetBool(b)
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(n.Value, 10, 64)
		if err != nil {
			d.fail(n.Line, path, "%q is given, a whole number is needed", n.Value)
		}
		into.SetInt(i)
	case reflect.Float64:
		x, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			d.fail(n.Line, path, "%q is given, a number is needed", n.Value)
		}
		into.SetFloat(x)
	default:
		panic("config: no way to read a " + into.Type().String())
	}
}

// fieldsOf returns a struct's fields by their names in a file, those of inlined
// structs included.
func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	fields := make(map[string]reflect.StructField)
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" {
			fields[name] = f
		}
	}
	return fields
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// describe names a node's kind for a message.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return fmt.Sprintf("%q", n.Value)
	}
}
