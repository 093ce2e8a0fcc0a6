package config

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// Schema returns the JSON schema of a file (draft 2020-12), for editors. It follows
// from the types.
func Schema() ([]byte, error) {
	s := schemaOf(reflect.TypeFor[File](), reflect.ValueOf(newFile().complete()).Elem(), "")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = Kind
	s["required"] = []string{"apiVersion", "kind"}
	properties := s["properties"].(map[string]any)
	properties["kind"].(map[string]any)["const"] = Kind
	properties["apiVersion"].(map[string]any)["enum"] = []string{NewerAPIVersion, APIVersion, OlderAPIVersion}
	return json.MarshalIndent(s, "", "  ")
}

// schemaOf is a type's schema. The value, where it is valid, holds the defaults.
func schemaOf(t reflect.Type, v reflect.Value, doc string) map[string]any {
	s := make(map[string]any)
	if doc != "" {
		s["description"] = doc
	}
	switch {
	case t.Kind() == reflect.Pointer:
		if v.IsValid() {
			v = v.Elem() // not valid for nil
		}
		return schemaOf(t.Elem(), v, doc)
	case t == reflect.TypeFor[Raw]():
	case t == reflect.TypeFor[Quantity]():
		s["type"], s["pattern"] = []string{"integer", "string"}, `^[0-9.]+([kMGTP]|[KMGTP]i)?$`
	case t == reflect.TypeFor[Duration]():
		s["type"], s["pattern"] = "string", `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$`
	case t == reflect.TypeFor[Share]():
		s["type"], s["pattern"] = "string", `^[0-9.]+ *%$`
	case t == reflect.TypeFor[Maximum]():
		s["type"], s["pattern"] = []string{"integer", "string"}, `^[0-9.]+ *%$|^[0-9]+$`
	case t.Kind() == reflect.Struct:
		properties, required := make(map[string]any), []string{}
		for name, f := range fieldsOf(t) {
			var value reflect.Value
			if v.IsValid() {
				value = v.FieldByIndex(f.Index)
			}
			property := schemaOf(f.Type, value, f.Tag.Get("doc"))
			if values := oneOf(f); values != nil {
				property["enum"] = values
			}
			properties[name] = property
			if !strings.Contains(f.Tag.Get("yaml"), "omitempty") {
				required = append(required, name)
			}
		}
		s["type"], s["properties"], s["additionalProperties"] = "object", properties, false
		if len(required) > 0 {
			s["required"] = slices.Sorted(slices.Values(required))
		}
	case t.Kind() == reflect.Slice:
		s["type"], s["items"] = "array", schemaOf(t.Elem(), reflect.Value{}, "")
	case t.Kind() == reflect.Bool:
		s["type"] = "boolean"
	case t.Kind() == reflect.Int:
		s["type"] = "integer"
	case t.Kind() == reflect.Float64:
		s["type"] = "number"
	case t.Kind() == reflect.String:
		s["type"] = "string"
	}
	if k := t.Kind(); v.IsValid() && k != reflect.Struct && k != reflect.Slice && !v.IsZero() {
		s["default"] = v.Interface()
	}
	return s
}
