package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/weirflow/weir/internal/suggest"
)

// Bounds on a file.
const (
	maxFile  = 1 << 20 // bytes
	maxNodes = 100_000 // values, those reached by aliases counted each time
)

// scalar is a type that is written as one word.
type scalar interface{ parse(text string) error }

// decoder reads YAML into structs, and continues after a problem.
type decoder struct {
	name     string // the file's; empty for none
	flag     string // that gives what is read now
	secret   bool   // whether no problem may repeat what was written
	problems Problems
	places   map[string]place // by path
	nodes    int
	document *yaml.Node
	overlay  *overlay // that paths are of; nil for none
}

// failAt reports a problem of what stands at a place.
func (d *decoder) failAt(at place, path, format string, args ...any) {
	p := Problem{Path: path, Flag: at.flag, Text: fmt.Sprintf(format, args...)}
	if at.flag == "" {
		p.File, p.Line = d.name, at.line
	}
	if at.own {
		p.Path = d.overlay.shown(path)
	}
	if at.value != "" && !d.secret {
		p.Value = at.shown()
	}
	d.problems = append(d.problems, p)
}

// fail reports a problem of a line, or of the whole file.
func (d *decoder) fail(line int, path, format string, args ...any) {
	d.failAt(place{line: line}, path, format, args...)
}

// decode reads one document into the struct that into points to.
func (d *decoder) decode(data []byte, into any) {
	d.places = make(map[string]place)
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
		d.syntax(data, err)
		return
	}
	if !ends(documents) {
		d.fail(0, "", "the file has more than one document, or ends in something else than YAML")
	}
	d.document = node.Content[0]
	if other := d.other(d.document); other != "" {
		d.fail(d.document.Line, "", "%s", other)
		d.document, d.places = nil, nil
		return
	}
	d.value(d.document, "", reflect.ValueOf(into).Elem())
}

// ends reports whether nothing but empty documents is left, as after a "---" at a file's end.
func ends(documents *yaml.Decoder) bool {
	for {
		var rest yaml.Node
		if err := documents.Decode(&rest); err != nil {
			return errors.Is(err, io.EOF)
		}
		if n := rest.Content; len(n) > 0 && n[0].Tag != "!!null" {
			return false
		}
	}
}

// forget forgets that a path was given, and what is below it.
func (d *decoder) forget(path string) {
	maps.DeleteFunc(d.places, func(p string, _ place) bool {
		rest, below := strings.CutPrefix(p, path)
		return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// syntax reports what the YAML parser says, with its line where it names one.
func (d *decoder) syntax(data []byte, err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, what, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(number); err == nil {
				line, tab := brokenLine(data, line)
				if tab {
					what = "a tab stands where only spaces may: YAML is indented by spaces"
				}
				d.fail(line, "", "not YAML: %s", what)
				return
			}
		}
	}
	d.fail(unreadableLine(data), "", "not YAML: %s", text)
}

// unreadableLine is the first line that has bytes in it that no text has; 0 for none.
func unreadableLine(data []byte) int {
	for i, line := range bytes.Split(data, []byte("\n")) {
		if !utf8.Valid(line) || bytes.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\r' }) {
			return i + 1
		}
	}
	return 0
}

// brokenAhead is how many lines beyond the one that the parser names are looked at.
const brokenAhead = 50

// brokenLine is the line in which a file ceases to be YAML, and whether it is indented by a tab.
// The parser names where what it was in began, and that one line too early: the file up to
// there, and as many lines more as are read well, come before it.
func brokenLine(data []byte, named int) (line int, tab bool) {
	lines := bytes.SplitAfter(data, []byte("\n"))
	line = min(named, len(lines))
	end := 0
	for i := range min(len(lines), named+brokenAhead) {
		if i >= named-2 && yaml.Unmarshal(data[:end], &yaml.Node{}) == nil {
			line = i + 1
		}
		end += len(lines[i])
	}
	broken := lines[max(0, line-1)]
	indent := broken[:len(broken)-len(bytes.TrimLeft(broken, " \t"))]
	return line, bytes.ContainsRune(indent, '\t')
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
	if d.overlay != nil && (into.Kind() == reflect.Pointer || into.Kind() == reflect.Slice) {
		d.forget(path) // it takes the place of what was read before
	}
	d.places[path] = d.placeOf(n)
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
	_, word := into.Addr().Interface().(scalar)
	switch {
	case !word && into.Kind() == reflect.Struct:
		d.mapping(n, path, into)
	case into.Kind() == reflect.Slice:
		d.sequence(n, path, into)
	default:
		d.word(n, path, into)
	}
}

// mapping reads a struct's fields.
func (d *decoder) mapping(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.otherwise(n, path, "a mapping of fields")
		return
	}
	fields := fieldsOf(into.Type())
	seen := make(map[string]bool)
	content := d.merged(n)
	for i := 0; i+1 < len(content); i += 2 {
		key, value := content[i], content[i+1]
		at := join(path, key.Value)
		f, known := fields[key.Value]
		switch {
		case !known:
			d.fail(key.Line, at, "no such field%s", meant(key.Value, slices.Sorted(maps.Keys(fields))))
		case seen[key.Value]:
			d.fail(key.Line, at, "given twice")
		default:
			d.value(value, at, into.FieldByIndex(f.Index))
			d.restrict(f, at)
		}
		seen[key.Value] = true
	}
}

func (d *decoder) sequence(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.otherwise(n, path, "a list")
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.value(item, fmt.Sprintf("%s[%d]", path, i), into.Index(i))
	}
}

// placeOf is the place of a node in its file.
func (d *decoder) placeOf(n *yaml.Node) place {
	at := place{flag: d.flag, line: n.Line, own: d.overlay != nil && d.flag == ""}
	if n.Kind == yaml.ScalarNode {
		at.value = n.Value
	}
	return at
}

// restrict reports a value that is none of those that a field may have.
func (d *decoder) restrict(field reflect.StructField, path string) {
	at, given := d.places[path]
	if values := oneOf(field); given && values != nil && !at.unread && !slices.Contains(values, at.value) {
		d.failAt(at, path, "must be %s%s", alternatives(values), didYouMean(at.value, values))
		at.unread = true
		d.places[path] = at
	}
}

// wholeNumber says what a count must be.
const wholeNumber = "must be a whole number"

// meant proposes a known name, or else lists them.
func meant(typed string, known []string) string {
	if text := didYouMean(typed, known); text != "" {
		return text
	}
	return "; there are: " + strings.Join(known, ", ")
}

// didYouMean proposes a known name, if one is like what was typed.
func didYouMean(typed string, known []string) string {
	if name := suggest.Closest(typed, known); name != "" {
		return fmt.Sprintf("; did you mean %q?", name)
	}
	return ""
}

// alternatives is "a, b or c".
func alternatives(values []string) string {
	last := len(values) - 1
	if last == 0 {
		return values[0]
	}
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// unread reports a word that is not what is needed there. It is told once: a value that could
// not be read is not out of range as well.
func (d *decoder) unread(n *yaml.Node, path, format string, args ...any) {
	at := d.placeOf(n)
	d.failAt(at, path, format, args...)
	at.unread = true
	d.places[path] = at
}

// otherwise reports a node of another kind than what is needed there: nothing in it is read, and
// nothing is missing in it.
func (d *decoder) otherwise(n *yaml.Node, path, needed string) {
	d.fail(n.Line, path, "%s is given, %s is needed", describe(n), needed)
	at := d.placeOf(n)
	at.unread = true
	d.places[path] = at
}

// word reads a scalar.
func (d *decoder) word(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.otherwise(n, path, "a single value")
		return
	}
	if s, ok := into.Addr().Interface().(scalar); ok {
		if err := s.parse(n.Value); err != nil {
			d.unread(n, path, "%v", err)
		}
		return
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(n.Value)
	case reflect.Bool:
		b, err := strconv.ParseBool(n.Value)
		if err != nil {
			d.unread(n, path, "must be true or false")
		}
		into.SetBool(b)
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(n.Value, 10, 64)
		if err != nil {
			d.unread(n, path, wholeNumber)
		}
		into.SetInt(i)
	case reflect.Float64:
		x, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			d.unread(n, path, "must be a number")
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
