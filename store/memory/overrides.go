package memory

import (
	"context"
	"maps"
	"time"

	"github.com/weirflow/weir/store"
)

// override is one that is kept, until a time.
type override struct {
	store.Override
	until time.Time
}

// Overrides implements [store.Overriding].
func (l *Ledger) Overrides(_ context.Context, put ...store.Override) ([]store.Override, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, kept := l.cfg.Clock(), l.shared.overrides
	maps.DeleteFunc(kept, func(_ string, o override) bool { return !o.until.After(now) })
	for _, o := range put {
		old, known := kept[o.Name]
		switch {
		case len(o.Name)+len(o.Value) > store.MaxOverride, !known && len(kept) >= store.MaxOverrides:
			return nil, store.ErrOverrides
		case o.Revision == 0:
			o.Revision = max(uint64(now.UnixMilli()), old.Revision+1)
		case o.Revision <= old.Revision:
			continue
		}
		if o.Left > 0 {
			kept[o.Name] = override{o, now.Add(o.Left)}
		}
	}
	all := make([]store.Override, 0, len(kept))
	for _, o := range kept {
		o.Left = o.until.Sub(now)
		all = append(all, o.Override)
	}
	return all, nil
}
