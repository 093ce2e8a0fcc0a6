package gateway

import (
	"net/http"
	"sync"

	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/refusal"
)

// keyring is which API keys there are, and which sessions wait for their turn by one. It is safe
// for concurrent use.
type keyring struct {
	mu      sync.RWMutex
	keys    flows.Keys
	waiting map[flows.Key]map[*life]struct{}
}

// set replaces the keys, and ends the sessions that wait by one that is gone.
func (k *keyring) set(keys flows.Keys) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = keys
	for key, waiting := range k.waiting {
		if keys.Lacks(key) {
			for l := range waiting {
				l.cancel(keyGone())
			}
		}
	}
}

// get returns the keys.
func (k *keyring) get() flows.Keys {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys
}

// wait has a session end if its key is gone, or goes before it waits no longer. The zero key,
// of a session without one, never goes.
func (k *keyring) wait(key flows.Key, l *life) (over func()) {
	if key == (flows.Key{}) {
		return func() {}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys.Lacks(key) {
		l.cancel(keyGone())
		return func() {}
	}
	if k.waiting == nil {
		k.waiting = make(map[flows.Key]map[*life]struct{})
	}
	if k.waiting[key] == nil {
		k.waiting[key] = make(map[*life]struct{})
	}
	k.waiting[key][l] = struct{}{}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if delete(k.waiting[key], l); len(k.waiting[key]) == 0 {
			delete(k.waiting, key)
		}
	}
}

// keyGone is the answer to a request whose key was taken out before it could go.
func keyGone() *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusUnauthorized, Code: "invalid_api_key",
		Message: "the API key was taken out while the request waited; send another one",
	}
}
