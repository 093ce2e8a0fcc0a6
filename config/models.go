package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weirflow/weir/gateway/modelapi"
)

// maxModels is how many models a pool may have, by a file or an annotation.
const maxModels = 1000

// Models says which pool a request is for by the model that it names. It does not change,
// and is safe for concurrent use.
type Models struct {
	exact    map[string]string
	patterns []modelPattern // in this order
	left     []modelPattern // for what is left
}

type modelPattern struct {
	pattern
	pool string
}

// Pool returns the name of the pool that a model is for. A name that was given without * comes
// first, and of several with it the first.
func (m *Models) Pool(model string) (pool string, known bool) {
	if pool, known = m.exact[model]; known {
		return pool, true
	}
	for _, patterns := range [][]modelPattern{m.patterns, m.left} {
		for i := range patterns {
			if patterns[i].matches(model) {
				return patterns[i].pool, true
			}
		}
	}
	return "", false
}

// Names returns the models that were given without *, sorted.
func (m *Models) Names() []string { return slices.Sorted(maps.Keys(m.exact)) }

// claims are the models that pools have, the file's before those that were found.
type claims struct {
	Models
	texts map[string]string // pools by what was given, with * or without
	pools map[string]bool   // by their names, also those without models
}

func newClaims() *claims {
	return &claims{Models: Models{exact: make(map[string]string)}, texts: make(map[string]string), pools: make(map[string]bool)}
}

// claimed are the claims of a file's pools.
func claimed(pools []Pool) *claims {
	c := newClaims()
	for i := range pools {
		c.pools[pools[i].Name] = true
		for _, model := range pools[i].Models {
			c.take(model, pools[i].Name, false)
		}
	}
	return c
}

// takeFound has the models of a pool that was found be its.
func (c *claims) takeFound(f *FoundPool) {
	c.pools[f.Name] = true
	for _, model := range f.Models {
		c.take(model, f.Name, true)
	}
}

// refuses says why a model cannot be a pool's, wherever that comes from.
func (c *claims) refuses(model, pool string) error {
	switch of, twice := c.texts[plain(model)]; {
	case model == "":
		return errors.New("is empty; give the name of a model")
	case len(model) > modelapi.MaxName:
		return fmt.Errorf("has %d bytes; the name of a model has up to %d", len(model), modelapi.MaxName)
	case twice && of == pool:
		return errors.New("is listed above")
	case twice:
		return fmt.Errorf("is a model of pool %q, too: requests for it can go to one pool only", of)
	}
	return nil
}

// tooMany refuses more models than a pool may have.
func tooMany(models []string) error {
	if len(models) > maxModels {
		return fmt.Errorf("there are %d models; a pool has up to %d: give patterns, such as lora-*", len(models), maxModels)
	}
	return nil
}

// refusesFound is refuses for all models of a pool that was found. Patterns of the file may
// overlap, since whoever wrote it put them in order; nobody did so for what was found: there a
// name that a pattern before it takes is refused, not passed over.
func (c *claims) refusesFound(f *FoundPool) error {
	if err := tooMany(f.Models); err != nil {
		return err
	}
	for _, model := range f.Models {
		if err := c.refuses(model, f.Name); err != nil {
			return fmt.Errorf("%.64q %w", model, err)
		}
		if takesAll(model) {
			continue // what is left
		}
		is := newPattern(model)
		for i := range c.patterns {
			of := &c.patterns[i]
			switch {
			case len(is.parts) == 1 && of.matches(model):
				return fmt.Errorf("%.64q is for pool %q by its pattern %q", model, of.pool, of.text())
			case len(is.parts) > 1 && of.overlaps(&is):
				return fmt.Errorf("%.64q has names in common with the pattern %q of pool %q: requests for them can go to one pool only", model, of.text(), of.pool)
			}
		}
	}
	return nil
}

// take has a model be a pool's. What takes all comes last, so that pools that are found have
// their models beside a pool of the file for the rest; patterns that come after it in the file
// stay behind it.
func (c *claims) take(model, pool string, found bool) {
	c.texts[plain(model)] = pool
	switch p := (modelPattern{newPattern(model), pool}); {
	case len(p.parts) == 1:
		c.exact[model] = pool
	case takesAll(model) || !found && len(c.left) > 0:
		c.left = append(c.left, p)
	default:
		c.patterns = append(c.patterns, p)
	}
}

// takesAll reports whether every name matches a pattern.
func takesAll(model string) bool { return model != "" && strings.Trim(model, "*") == "" }

// plain is a model as it is compared with others: ** means what * does.
func plain(model string) string {
	if takesAll(model) {
		return "*"
	}
	return model
}
