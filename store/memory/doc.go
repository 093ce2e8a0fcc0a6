// Package memory keeps the ledger in the process: the book of a single replica,
// of a fleet inside one process, and of every simulation. It is also the
// readable statement of what a turn does; store/redis does the same in a script, whose
// files in turn/ say it in the same words and under the same names.
//
//	Ledger ─┬─ replicas   lease, held, queued, messages, limits stated
//	        └─ bands      highest first
//	             └─ books   one per policy; two only during a rolling update
//	                  └─ flows   counter, offers; indexed by rank
package memory
