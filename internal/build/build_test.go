package build

import (
	"runtime/debug"
	"testing"
)

func TestOf(t *testing.T) {
	own := Info{Version: "v1.2.3", Revision: "abc", Time: "2026-01-02T03:04:05Z", Modified: true}
	theirs := Info{Version: "v1.2.3", Program: "example.com/gateway"}
	for name, c := range map[string]struct {
		build debug.BuildInfo
		want  Info
	}{
		"a release": {debug.BuildInfo{
			Main: debug.Module{Path: module, Version: "v1.2.3"},
			Settings: []debug.BuildSetting{
				{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
			},
		}, own},
		"a program that imports it": {debug.BuildInfo{
			Main:     debug.Module{Path: "example.com/gateway", Version: "v7.0.0"},
			Deps:     []*debug.Module{{Path: "example.com/other", Version: "v3.0.0"}, {Path: module, Version: "v1.2.3"}},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "theirs"}},
		}, theirs},
		"without history": {debug.BuildInfo{Main: debug.Module{Path: module, Version: "(devel)"}}, Info{Version: "devel"}},
		"nothing known":   {debug.BuildInfo{}, Info{Version: "devel"}},
	} {
		got := of(&c.build)
		got.Go, got.Platform = "", ""
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
