// Package adversary attacks weir serve, in processes of its own, as strangers, tenants
// and mishaps do, and measures what comes of it. docs/threats.md lists what each test
// shows.
//
// Tests that take longer than a few seconds run by make adversary, which sets
// WEIR_ADVERSARY.
package adversary
