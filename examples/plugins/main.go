// Command plugins is Weir with policies of a third party: whatever the weir command
// does, it does, and its configuration can name them.
package main

import (
	"errors"
	"log"

	"github.com/weirflow/weir/cmd/weir/app"
	"github.com/weirflow/weir/examples/plugins/bysize"
	"github.com/weirflow/weir/examples/plugins/urgentfirst"
	"github.com/weirflow/weir/policies/builtin"
)

func main() {
	registry := builtin.Registry()
	if err := errors.Join(bysize.Register(registry), urgentfirst.Register(registry)); err != nil {
		log.Fatal(err)
	}
	app.Main(registry)
}
