package config

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
)

// Differences returns the paths below path of what two values of one type of this package say
// differently, such as weir.metrics.interval for a [Weir]. Lists are compared as a whole.
func Differences(path string, a, b any) []string {
	return differences(path, reflect.ValueOf(a), reflect.ValueOf(b))
}

func differences(path string, a, b reflect.Value) []string {
	if raw, ok := a.Interface().(*Raw); ok {
		if same(raw, b.Interface().(*Raw)) {
			return nil
		}
		return []string{path}
	}
	if a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil() {
		a, b = a.Elem(), b.Elem()
	}
	if a.Kind() != reflect.Struct {
		if reflect.DeepEqual(a.Interface(), b.Interface()) {
			return nil
		}
		return []string{path}
	}
	var all []string
	for i := range a.NumField() {
		name, options, _ := strings.Cut(a.Type().Field(i).Tag.Get("yaml"), ",")
		at := path
		if !slices.Contains(strings.Split(options, ","), "inline") {
			at = join(path, name)
		}
		all = append(all, differences(at, a.Field(i), b.Field(i))...)
	}
	return all
}

// Same reports whether two declarations say the same, wherever in a file they stand.
func (p *Plugin) Same(other *Plugin) bool {
	return p.Name == other.Name && p.Type == other.Type && same(p.Parameters, other.Parameters)
}

func same(a, b *Raw) bool {
	x, err := a.JSON()
	y, err2 := b.JSON()
	return err == nil && err2 == nil && bytes.Equal(x, y)
}
