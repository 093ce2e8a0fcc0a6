// Package wire is the one table of what goes between the Redis ledger and its script,
// and of what the script keeps: the keys, the records in them, a turn's arguments and
// its reply.
//
//	kept.go, turn.go ── go generate ──┬──> ../../wire.go    writes arguments, reads replies
//	                                  └──> ../../turn/      arguments.lua reads arguments,
//	                                                        keys.lua makes keys, records.lua
//	                                                        has records and writes replies
//
// Nothing else knows the order of fields. The format under which a ledger is kept is a
// hash of the keys and the records, so that no two versions that keep them differently
// write the same keys.
package wire
