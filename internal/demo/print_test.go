package demo

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPrint wants tables that fit, with what matters in them.
func TestPrint(t *testing.T) {
	s := &Summary{
		Ledger: "shared", Seconds: 13.5, Replicas: 3, Limit: 8, InFlightPeak: 8, JainIndex: 0.9987, MaxServiceGap: 3, TurnsPerGrant: 1.25,
		Divided: &Summary{Ledger: "divided", Flows: []Flow{{Share: 0.43, FairShare: 0.16}, {Share: 0.054, FairShare: 0.16}}},
		Timeline: []Phase{
			{At: 2, Event: "replica-3 restarted", SettledMs: 812, PauseMs: 31, RequestsPerSecond: 310, JainIndex: 0.99, InFlightPeak: 8, Lost: 2},
			{At: 4, Event: "replica-2 gossip cut", SettledMs: -1, Failed: 1},
		},
	}
	for _, tenant := range DefaultConfig().Tenants {
		s.Flows = append(s.Flows, Flow{ID: tenant.ID, Weight: 1, Requests: 123456, Share: 0.1666, FairShare: 0.1667, WaitP50ms: 61234, WaitP99ms: 62345})
	}
	for _, width := range []int{60, 80, 200} {
		var text strings.Builder
		if err := s.Print(&text, width); err != nil {
			t.Fatal(err)
		}
		text.WriteString(s.Verdict(width) + "\n")
		for line := range strings.Lines(text.String() + Legend(width)) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d columns at %d: %s", n, width, line)
			}
		}
		for _, want := range []string{"everywhere", "16.7%", "62345 ms", "at most 8 of 8 in flight", "replica-3 restarted", "812 ms", "34% to 269%"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("at %d columns there is no %q:\n%s", width, want, text.String())
			}
		}
		if wide := strings.Contains(text.String(), "weight"); wide != (width >= narrow) || strings.ContainsRune(text.String(), '\x1b') {
			t.Errorf("at %d columns:\n%s", width, text.String())
		}
	}
	if line := s.Line(); !strings.Contains(line, "864192 requests") || strings.Contains(line, "\n") || utf8.RuneCountInString(line) > 80 {
		t.Errorf("the line: %q", line)
	}
}
