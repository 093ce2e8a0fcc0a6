package docs

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/store"
)

// TestTimeBudget wants docs/time-budget.md to have every time that the protocol runs by.
func TestTimeBudget(t *testing.T) {
	text := pageAt(t, "docs/time-budget.md").Text
	for _, of := range []reflect.Type{reflect.TypeFor[core.Timings](), reflect.TypeFor[store.Timings]()} {
		for i := range of.NumField() {
			if f := of.Field(i); f.Type == reflect.TypeFor[time.Duration]() && !strings.Contains(text, "`Timings."+f.Name+"`") {
				t.Errorf("docs/time-budget.md says nothing of %v.%s", of, f.Name)
			}
		}
	}
}
