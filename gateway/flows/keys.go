package flows

import (
	"crypto/sha256"
	"net/http"

	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/refusal"
)

// Key is the SHA-256 of an API key; zero for none.
type Key = [sha256.Size]byte

// Keys are flows by their API keys; nil where requests say themselves whose they are.
type Keys map[Key]string

// Lacks reports whether a key is gone: others are asked for, and not that one.
func (k Keys) Lacks(key Key) bool {
	_, known := k[key]
	return k != nil && !known
}

// Identify says which flow a request is of, and by which key, which it takes out of the headers.
// An id from the header is untrusted input: it ends up in logs, metrics and the ledger.
func (k Keys) Identify(h http.Header) (id string, by Key, refused *refusal.Refusal) {
	if k == nil {
		if id, refused = headers.FlowOf(h); id == "" && refused == nil {
			id = Default
		}
		return id, Key{}, refused
	}
	token := headers.KeyOf(h)
	by = sha256.Sum256([]byte(token))
	id, known := k[by]
	if token == "" || !known {
		return "", Key{}, &refusal.Refusal{
			Status: http.StatusUnauthorized, Code: "invalid_api_key",
			Message: "the API key is missing or not known; send a known one as Authorization: Bearer KEY, or as x-api-key",
		}
	}
	for _, name := range headers.Keys {
		h.Del(name)
	}
	return id, by, nil
}
