package flows

import (
	"crypto/sha256"
	"net/http"

	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/refusal"
)

// Keys are flows by the SHA-256 of their API keys; nil where requests say themselves whose
// they are.
type Keys map[[sha256.Size]byte]string

// Identify says which flow a request is of, and takes its key out of the headers. An id from
// the header is untrusted input: it ends up in logs, metrics and the ledger.
func (k Keys) Identify(h http.Header) (id string, refused *refusal.Refusal) {
	if k == nil {
		if id, refused = headers.FlowOf(h); id == "" && refused == nil {
			id = Default
		}
		return id, refused
	}
	token := headers.KeyOf(h)
	id, known := k[sha256.Sum256([]byte(token))]
	if token == "" || !known {
		return "", &refusal.Refusal{
			Status: http.StatusUnauthorized, Code: "invalid_api_key",
			Message: "the API key is missing or not known; send a known one as Authorization: Bearer KEY, or as x-api-key",
		}
	}
	for _, name := range headers.Keys {
		h.Del(name)
	}
	return id, nil
}
