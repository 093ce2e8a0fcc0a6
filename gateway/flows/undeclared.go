package flows

import (
	"fmt"
	"sync"

	"go.uber.org/zap"
)

// maxUndeclared bounds how many names that nobody declared are logged: clients make them
// up.
const maxUndeclared = 100

// Undeclared follows the objectives that requests name and nobody declared. It is safe for
// concurrent use.
type Undeclared struct {
	mu   sync.Mutex
	seen map[string]bool
}

// Note logs an objective once, and returns what its client should know.
func (u *Undeclared) Note(log *zap.Logger, objective string, priority int) string {
	short := fmt.Sprintf("%.64q", objective)
	u.mu.Lock()
	fresh := !u.seen[short] && len(u.seen) < maxUndeclared
	if fresh {
		if u.seen == nil {
			u.seen = make(map[string]bool)
		}
		u.seen[short] = true
	}
	u.mu.Unlock()
	if fresh {
		log.Warn("requests name an objective that nobody declared: correct it, or add it to weir.objectives", zap.String("objective", short), zap.Int("priority", priority))
	}
	return fmt.Sprintf("the objective %s is not declared; the request goes at priority %d", short, priority)
}
