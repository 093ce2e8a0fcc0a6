package core

import (
	"cmp"
	"strings"
)

// leastLoaded returns the endpoint with the least load, as far as is known, if there is a permit at
// it; else empty. There are permits where requests were of late, so to go by these alone would send
// all that come at once to a few endpoints.
func (l *loads) leastLoaded() string {
	least := l.leastOf(l.longerAgo, func(endpoint string) bool { return l.open(endpoint) || l.load(endpoint) < l.listed[endpoint] })
	if !l.open(least) {
		return ""
	}
	return least
}

// least returns the endpoint with the least load, as far as is known, of those that may have
// another request; empty if there is none.
func (l *loads) least(may func(endpoint string) bool) (least string) {
	return l.leastOf(strings.Compare, may)
}

// longerAgo orders endpoints of equal load by when this replica last sent a request there, as the
// ledger does by when it last suggested to.
func (l *loads) longerAgo(a, b string) int {
	return cmp.Or(cmp.Compare(l.sent[a], l.sent[b]), strings.Compare(a, b))
}

// leastOf is least, in that order of those that have as much.
func (l *loads) leastOf(tie func(a, b string) int, may func(endpoint string) bool) (least string) {
	for endpoint := range l.listed {
		if may(endpoint) && (least == "" || cmp.Or(cmp.Compare(l.load(endpoint), l.load(least)), tie(endpoint, least)) < 0) {
			least = endpoint
		}
	}
	return least
}
