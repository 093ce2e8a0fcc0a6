package redis

import (
	"embed"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

//go:generate go run ./internal/wire/generate

//go:embed turn/*.lua
var turnFiles embed.FS

// turnParts are the files of the script that takes a turn, in their order. Redis takes
// one text: what a file declares is there for those after it.
var turnParts = [...]string{
	"calls", "arguments", "root", "keys",
	"records", "state", "decay", "level", "books", "groups", "shares", "offers", "replica", "limits", "maxima", "loads", "places", "leases", "save",
	"statement", "grant", "line", "collect", "revoke", "float", "answer",
	"mend",
}

// What is between these two is a function of its own.
const functionBegins, functionEnds = "records", "mend"

// turn is the script that takes a turn.
var turn = join()

// script is one text of several files.
type script struct {
	text   string
	starts [len(turnParts)]int // the line before each file's first
}

// join puts the files together. A turn is a function, whose errors are caught. Lua has
// room for 200 local names in it, and for 60 of the outer ones.
func join() (s script) {
	var text strings.Builder
	line := 0
	write := func(part string) {
		text.WriteString(part)
		line += strings.Count(part, "\n")
	}
	for i, part := range turnParts {
		switch part {
		case functionBegins:
			write("local function turn()\n")
		case functionEnds:
			write("end\n")
		}
		file, err := turnFiles.ReadFile("turn/" + part + ".lua")
		if err != nil {
			panic(err) // it is not in the folder
		}
		s.starts[i] = line
		write(string(file))
	}
	s.text = text.String()
	return s
}

// inScript is where Redis says that something is wrong.
var inScript = regexp.MustCompile(`@?user_script:\s?(\d+)`)

// place says in which file and line of it a line of the script is.
func (s *script) place(line int) string {
	part := 0
	for part+1 < len(turnParts) && s.starts[part+1] < line {
		part++
	}
	return fmt.Sprintf("store/redis/turn/%s.lua:%d", turnParts[part], line-s.starts[part])
}

// located is an error of the script's, with the places in its files.
type located struct {
	error
	text string
}

func (e located) Error() string { return e.text }
func (e located) Unwrap() error { return e.error }

// locate says of an error which files and lines of the script it names.
func (s *script) locate(err error) error {
	text := inScript.ReplaceAllStringFunc(err.Error(), func(found string) string {
		line, _ := strconv.Atoi(inScript.FindStringSubmatch(found)[1])
		return s.place(line)
	})
	if text == err.Error() {
		return err
	}
	return located{err, text}
}
