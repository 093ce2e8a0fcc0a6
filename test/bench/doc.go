// Package bench measures the fleet on a real Redis. "make bench-redis" runs it.
package bench
