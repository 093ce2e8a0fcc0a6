// Package scheduling has the plug-ins of scheduling profiles: which endpoint a request goes
// to once flow control has let it go.
//
//	endpoints ──> filters ──> scorer × weight ─┐
//	                      ──> scorer × weight ─┼─ sum ──> picker ──> endpoint
//	                      ──> scorer × weight ─┘
//
// A filter leaves endpoints out. A scorer compares those that are left; the best gets 1, the
// worst 0. Where all are equal, all get 1. Where there are several profiles, a handler says
// which of them a request goes by; or it goes through stages, each with a profile, and
// deciders say which of the stages before the answer it needs.
package scheduling
