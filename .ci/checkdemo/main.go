// Command checkdemo reads a demo's JSON summary and fails when it does not show
// what the README says.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/weirflow/weir/demo"
)

func main() {
	var s demo.Summary
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		fmt.Fprintln(os.Stderr, "checkdemo:", err)
		os.Exit(1)
	}
	fmt.Printf("shared: Jain index %.3f, at most %d of %d in flight; divided: %.3f\n",
		s.JainIndex, s.InFlightPeak, s.Limit, s.Divided.JainIndex)
	if s.JainIndex < 0.98 || s.InFlightPeak > int64(s.Limit) || s.Failures > 0 || s.Divided.JainIndex > 0.9 {
		fmt.Fprintln(os.Stderr, "checkdemo: the summary is not what it should be")
		os.Exit(1)
	}
}
