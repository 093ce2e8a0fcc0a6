package policies

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// UnknownParameterError says that a plug-in's type has no parameter of a name.
type UnknownParameterError struct {
	Name  string
	Known []string // those it has, sorted
}

// Error implements error.
func (e *UnknownParameterError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("no such parameter %q; there are none", e.Name)
	}
	return fmt.Sprintf("no such parameter %q; there are: %s", e.Name, strings.Join(e.Known, ", "))
}

// inPlainWords says what the JSON package says of parameters without a word of Go, and which
// text was given where there must be none.
func inPlainWords(err error, parameters json.RawMessage, into any) error {
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok { // it has no type of its own
		if name, unquoted := strconv.Unquote(quoted); unquoted == nil {
			known := parameterNames(reflect.TypeOf(into))
			slices.Sort(known)
			return &UnknownParameterError{Name: name, Known: slices.Compact(known)}
		}
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		if wrong.Field == "" {
			return fmt.Errorf("%s is given, a mapping of parameters is needed", wrong.Value)
		}
		if text := textAt(parameters, wrong.Field); text != "" {
			return fmt.Errorf("%s: %q is text, it must be %s", wrong.Field, text, described(wrong.Type))
		}
		return fmt.Errorf("%s is a %s, it must be %s", wrong.Field, wrong.Value, described(wrong.Type))
	}
	return err
}

// textAt is the text that a field has, by its path; empty if that is none.
func textAt(parameters json.RawMessage, path string) string {
	var at any
	if json.Unmarshal(parameters, &at) != nil {
		return ""
	}
	for name := range strings.SplitSeq(path, ".") {
		object, _ := at.(map[string]any)
		at = object[name]
	}
	text, _ := at.(string)
	return text
}

// parameterNames are the fields of a struct as JSON names them, and those of its fields.
func parameterNames(t reflect.Type) (names []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(append(names, name), parameterNames(f.Type)...)
		}
	}
	return names
}

// described is what is written for a value of a type.
func described(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a mapping"
	}
	return "a text"
}
