// Command notices writes the licences of what is linked into the weir binary, as they
// must go with it: of Go itself, and of every module of which a package is linked. Texts
// are taken from the module cache; one that several modules share is written once.
//
//	go run ./internal/notices > THIRD_PARTY_NOTICES
package main

import (
	"context"
	"fmt"
	"os"
)

func main() {
	text, err := notices(context.Background(), "./cmd/weir")
	if err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
	if _, err := os.Stdout.WriteString(text); err != nil {
		os.Exit(1)
	}
}
