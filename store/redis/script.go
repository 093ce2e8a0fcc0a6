package redis

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed turn/*.lua
var turnFiles embed.FS

// turnParts are the files of the script that takes a turn, in their order. Redis takes
// one text: what a file declares is there for those after it.
var turnParts = [...]string{
	"layout", "records", "state", "books", "offers", "limits", "loads", "replicas", "save",
	"statement", "grant", "collect", "revoke", "answer",
}

// ledgerFormat names the layout of what the script keeps. It must change with it, so
// that no two versions of the script write the same keys.
const ledgerFormat = "3"

// turnSource is the script. What comes after the layout is a function of its own: Lua
// has room for 200 local names in a function, and finds those of the outer one sooner
// when it makes the functions of a turn.
func turnSource() string {
	var text strings.Builder
	for i, part := range turnParts {
		if i == 1 {
			text.WriteString("local function turn()\n")
		}
		file, err := turnFiles.ReadFile("turn/" + part + ".lua")
		if err != nil {
			panic(err) // it is not in the folder
		}
		fmt.Fprintf(&text, "-- turn/%s.lua\n%s\n", part, file)
	}
	text.WriteString("end\nreturn turn()\n")
	return text.String()
}
