package redis

import (
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/weirflow/weir/internal/needs"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/storetest"
)

// TestScriptIsWhole wants every file of the folder in the script.
func TestScriptIsWhole(t *testing.T) {
	files, err := turnFiles.ReadDir("turn")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(turnParts) {
		t.Errorf("%d files in turn, %d in the script", len(files), len(turnParts))
	}
	for _, f := range files {
		if name := strings.TrimSuffix(f.Name(), ".lua"); !slices.Contains(turnParts[:], name) {
			t.Errorf("turn/%s is not in the script", f.Name())
		}
	}
}

// TestErrorsNameAFile breaks a line of the script, and wants the error to say which file
// it is in.
func TestErrorsNameAFile(t *testing.T) {
	pools := open(redistest.Start(t).URL())
	t.Run("library", func(t *testing.T) { testErrorsNameAFile(t, pools, false) })
	t.Run("script", func(t *testing.T) { testErrorsNameAFile(t, pools, true) })
}

func testErrorsNameAFile(t *testing.T, pools storetest.Factory, byScript bool) {
	l := pools(t, storetest.NewClock().Now).(*Ledger)
	at := turn.starts[slices.Index(turnParts[:], "statement")] + 3
	broken := turn
	lines := strings.SplitAfter(turn.text, "\n")
	at -= linesBefore
	lines[at-1] = "step(function() return fleet.nothing.at_all end) " + lines[at-1]
	broken.text = strings.Join(lines, "")
	l.turns = newRunner(&broken, nil)
	if byScript {
		l.turns.refusal.Store(&refusal{errNoLibrary, time.Now().Add(time.Hour)})
	}
	_, err := l.Turn(t.Context(), &store.Statement{Replica: "a", Incarnation: 1, Number: 1, Register: true})
	if err == nil || !strings.Contains(err.Error(), "store/redis/turn/statement.lua:3: attempt to index") {
		t.Errorf("the error is %v, want it to name statement.lua:3", err)
	}
	if (withoutLibrary(l) != nil) != byScript {
		t.Errorf("without a library: %v", withoutLibrary(l))
	}
}

// TestLuacheck wants no complaint of luacheck about the script.
func TestLuacheck(t *testing.T) {
	needs.Tool(t, "luacheck")
	cmd := exec.CommandContext(t.Context(), "luacheck", "--config", "luacheckrc", "--formatter", "plain", "--filename", "turn", "-")
	cmd.Stdin = strings.NewReader(turn.evaluated())
	out, err := cmd.CombinedOutput()
	if err == nil {
		return
	}
	place := regexp.MustCompile(`(?m)^turn:(\d+):`)
	t.Errorf("%v\n%s", err, place.ReplaceAllStringFunc(string(out), func(found string) string {
		line, _ := strconv.Atoi(place.FindStringSubmatch(found)[1])
		return turn.place(line) + ":"
	}))
}

// TestLargeNumbersTakeNoRoom has a turn state a number of bytes in the tens of millions: a table of
// Lua's that has an integer for a key must not have room made for all up to it, which miniredis'
// does.
func TestLargeNumbersTakeNoRoom(t *testing.T) {
	l := open("redis://"+miniredis.RunT(t).Addr())(t, storetest.NewClock().Now)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for n := range uint64(8) {
		_, err := l.Turn(t.Context(), &store.Statement{
			Replica: "a", Incarnation: 1, Number: n + 1, Members: 1, Register: true,
			Bands: []store.Band{{Policy: "fair", CountsService: true, Limit: 1, Queued: 1, QueuedBytes: 60_000_000 + int64(n)}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 256 {
		t.Errorf("8 turns took %d MiB", mib)
	}
}
