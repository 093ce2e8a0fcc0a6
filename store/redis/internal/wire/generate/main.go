// Command generate writes both sides of the wire from the table. It runs in the folder
// of package redis.
package main

import (
	"fmt"
	"os"

	"github.com/weirflow/weir/store/redis/internal/wire"
)

func main() {
	if err := generate(); err != nil {
		fmt.Fprintln(os.Stderr, "generate the wire:", err)
		os.Exit(1)
	}
}

func generate() error {
	golang, err := wire.Go()
	if err != nil {
		return err
	}
	files := map[string][]byte{"wire.go": golang}
	for name, text := range wire.Lua() {
		files["turn/"+name] = text
	}
	for file, text := range files {
		if err := os.WriteFile(file, text, 0o644); err != nil { //nolint:gosec // source text
			return err
		}
	}
	return nil
}
