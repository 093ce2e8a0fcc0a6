package config_test

import (
	"strings"
	"testing"

	"github.com/weirflow/weir/config"
)

// TestParametersInPlainWords wants a wrong parameter named where it stands, with what was
// meant, and without a word of Go.
func TestParametersInPlainWords(t *testing.T) {
	for parameters, want := range map[string]string{
		"{maxConcurency: 8}":    `line 4: plugins[0].parameters.maxConcurency: concurrency-detector has no such parameter; did you mean "maxConcurrency"?`,
		"{colour: 8}":           "no such parameter; there are: concurrencyMode, ",
		"{maxConcurrency: ten}": `maxConcurrency: "ten" is text, it must be a whole number`,
		"[8]":                   "array is given, a mapping of parameters is needed",
	} {
		_, _, err := config.Parse([]byte(config.Empty+"plugins:\n- {type: concurrency-detector, parameters: "+parameters+"}\n"), withServer())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "json") {
			t.Errorf("%s: %v, want %s", parameters, err, want)
		}
	}
}
