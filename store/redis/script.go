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
	"layout", "records", "state", "books", "offers", "limits", "loads", "replicas",
	"statement", "grant", "collect", "revoke", "answer",
}

// turnSource is the script.
func turnSource() string {
	var text strings.Builder
	for _, part := range turnParts {
		file, err := turnFiles.ReadFile("turn/" + part + ".lua")
		if err != nil {
			panic(err) // it is not in the folder
		}
		fmt.Fprintf(&text, "-- turn/%s.lua\n%s\n", part, file)
	}
	return text.String()
}
