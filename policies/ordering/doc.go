// Package ordering has the built-in ordering policies: which request of a flow
// goes first.
package ordering
