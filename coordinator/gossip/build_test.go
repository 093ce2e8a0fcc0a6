package gossip

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"

	"github.com/weirflow/weir/coordinator"
)

// TestBuildIsKnown wants a member to say which build it runs, within bounds, and one that
// does not say to be a member all the same.
func TestBuildIsKnown(t *testing.T) {
	a := start(t, "a", func(c *Config) { c.Build = "v1.2.3" })
	b := start(t, "b", func(c *Config) { c.Build = strings.Repeat("v", 1000) }, a)
	b.sees(t, "a", "b")
	got := make(map[string]string)
	for _, m := range b.Fleet.members().Live {
		got[m.ID] = m.Version
	}
	if got["a"] != "v1.2.3" || got["b"] != strings.Repeat("v", maxWords) {
		t.Errorf("builds %v", got)
	}
	d := delegate{a.Fleet}
	for limit, want := range map[int]string{memberlist.MetaMaxSize: "v1.2.3", len(d.NodeMeta(memberlist.MetaMaxSize)) - 1: ""} {
		var m meta
		if err := json.Unmarshal(d.NodeMeta(limit), &m); err != nil || m.Build != want || m.Address == "" {
			t.Errorf("with room for %d bytes: %+v, %v; want build %q", limit, m, err, want)
		}
	}
	older := &memberlist.Node{Name: "c", Meta: fmt.Appendf(nil, `{"v":%d,"s":256,"i":1,"a":"127.0.0.1:1"}`, coordinator.ProtocolVersion-1)}
	if m, err := a.read(older); err != nil || m.Build != "" {
		t.Errorf("one that does not say: %+v, %v", m, err)
	}
}
