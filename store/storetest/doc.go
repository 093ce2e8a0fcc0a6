// Package storetest is the conformance suite of the ledger contract. Every
// implementation passes Run; Compare drives random histories through several
// implementations at once and compares every answer.
package storetest
