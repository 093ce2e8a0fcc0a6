// Command generate writes both sides of the wire from the table. It runs in the folder
// of package redis.
package main

import (
	"fmt"
	"os"

	"github.com/weirflow/weir/store/redis/internal/wire"
)

func main() {
	golang, err := wire.Go()
	if err == nil {
		err = os.WriteFile("wire.go", golang, 0o644) //nolint:gosec // source text
	}
	if err == nil {
		err = os.WriteFile("turn/wire.lua", wire.Lua(), 0o644) //nolint:gosec // likewise
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate the wire:", err)
		os.Exit(1)
	}
}
