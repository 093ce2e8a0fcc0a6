// Command weir is a distributed flow controller for LLM inference gateways.
package main

import (
	"github.com/weirflow/weir/cmd/weir/app"
	"github.com/weirflow/weir/policies/builtin"
)

func main() { app.Main(builtin.Registry()) }
