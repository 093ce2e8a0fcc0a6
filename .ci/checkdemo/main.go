// Command checkdemo reads a demo's JSON summary and fails when it does not show
// what the README says.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/weirflow/weir/internal/demo"
)

func main() {
	var s demo.Summary
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		fmt.Fprintln(os.Stderr, "checkdemo:", err)
		os.Exit(1)
	}
	failed := s.Failures > 0 || s.JainIndex < 0.98 || s.InFlightPeak > int64(s.Limit)
	for _, p := range s.Timeline {
		fmt.Printf("%s: settled after %.0f ms, Jain index %.3f, at most %d in flight, %d failed\n",
			p.Event, p.SettledMs, p.JainIndex, p.InFlightPeak, p.Failed)
		failed = failed || p.SettledMs < 0 || p.Failed > 0 || p.InFlightPeak > int64(s.Limit)
	}
	if s.Divided == nil {
		s.Divided = &demo.Summary{}
		failed = failed || len(s.Timeline) != 6
	}
	fmt.Printf("shared: Jain index %.3f, at most %d of %d in flight; divided: %.3f\n",
		s.JainIndex, s.InFlightPeak, s.Limit, s.Divided.JainIndex)
	if failed || s.Divided.JainIndex > 0.9 {
		fmt.Fprintln(os.Stderr, "checkdemo: the summary is not what it should be")
		os.Exit(1)
	}
}
