// Package memory keeps the ledger in the process: for a single replica, for a fleet
// inside one process, and for every simulation. It is also the readable definition of
// what a turn does; store/redis does the same in a script, whose files in turn/ use the
// same names.
//
//	Ledger ─┬─ replicas   lease, held, queued, messages, limits stated
//	        └─ bands      highest first
//	             └─ books   one per policy; two only during a rolling update
//	                  └─ flows   counter, offers; indexed by rank
package memory
