// Package scheduling has the scorers and pickers of scheduling profiles: which
// endpoint a request goes to once flow control has let it go.
//
//	endpoints ──> scorer × weight ─┐
//	          ──> scorer × weight ─┼─ sum ──> picker ──> endpoint
//	          ──> scorer × weight ─┘
//
// A scorer compares the endpoints that a request may go to; the best gets 1, the
// worst 0. Where all are equal, all get 1.
package scheduling
