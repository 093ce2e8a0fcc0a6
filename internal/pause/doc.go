// Package pause stops processes for a while, as a frozen machine does: their connections
// stay open and nobody answers.
package pause
