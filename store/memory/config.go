package memory

import (
	"time"

	"github.com/weirflow/weir/store"
)

// Config tunes a ledger. The zero value of a field stands for its default.
type Config struct {
	store.Timings
	// Clock is the ledger's clock; time.Now.
	Clock func() time.Time
}

func (c Config) withDefaults() Config {
	c.Timings = c.Timings.WithDefaults()
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}
