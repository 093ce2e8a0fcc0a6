package redis

import (
	"slices"
	"strings"
	"testing"
)

// TestScriptIsWhole wants every file of the folder in the script.
func TestScriptIsWhole(t *testing.T) {
	files, err := turnFiles.ReadDir("turn")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(turnParts) {
		t.Errorf("%d files in turn, %d in the script", len(files), len(turnParts))
	}
	for _, f := range files {
		if name := strings.TrimSuffix(f.Name(), ".lua"); !slices.Contains(turnParts[:], name) {
			t.Errorf("turn/%s is not in the script", f.Name())
		}
	}
}
