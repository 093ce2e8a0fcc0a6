package redis

import (
	"crypto/sha256"
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
	"records", "cache", "state", "decay", "ranking", "level", "books", "groups", "shares", "weighed", "offers", "replica", "limits", "maxima", "loads", "places", "leases", "save",
	"statement", "offered", "grant", "line", "collect", "revoke", "away", "float", "answer",
	"take",
}

// What is between these two is within a function of its own: Lua has room for 200 local names
// in one, and for 60 of the outer ones, and makes a function that uses outer ones at once.
const innerBegins, innerEnds = "records", "take"

// turn is the script that takes a turn.
var turn = join()

// script is one text of several files, which declares the function take_turn.
type script struct {
	text   string
	starts [len(turnParts)]int // the line before each file's first, with what begins the text
}

// join puts the files together.
func join() (s script) {
	var text strings.Builder
	line := linesBefore
	write := func(part string) {
		text.WriteString(part)
		line += strings.Count(part, "\n")
	}
	for i, part := range turnParts {
		switch part {
		case innerBegins:
			write("local function declare()\n")
		case innerEnds:
			write("end\ndeclare()\n")
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

// linesBefore is how many lines begin the text, whichever way it is run.
const linesBefore = 2

// evaluated is the text for EVAL, which runs all of it with each turn.
func (s *script) evaluated() string {
	return strings.Repeat("\n", linesBefore) + s.text + "return take_turn(KEYS, ARGV)\n"
}

// library is the text for FUNCTION LOAD. It registers one function, of the library's name,
// which runs the text when it is first called: while a library is loaded Lua's own functions
// are not there yet.
func (s *script) library() (name, text string) {
	text = "local function begin()\n" + s.text + "return take_turn\nend\n" +
		"local take\nredis.register_function('NAME', function(keys, args)\n  take = take or begin()\n  return take(keys, args)\nend)\n"
	sum := sha256.Sum256([]byte(text))
	name = libraryPrefix + fmt.Sprintf("%x", sum[:8])
	return name, "#!lua name=" + name + "\n" + strings.Replace(text, "'NAME'", "'"+name+"'", 1)
}

// libraryPrefix begins the name of a library, before a hash of its text: libraries are the
// whole server's, and those of two versions do not replace each other.
const libraryPrefix = "weir_turn_"

// inScript is where Redis says that something is wrong.
var inScript = regexp.MustCompile(`@?user_(?:script|function):\s?(\d+)`)

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
