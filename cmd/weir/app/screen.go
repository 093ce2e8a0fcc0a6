package app

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// screen shows a text on a terminal, from the line on to which it was moved.
type screen struct {
	text string
	from int
}

// Keys as a terminal sends them.
const (
	ctrlC    = "\x03"
	keyUp    = "\x1b[A"
	keyDown  = "\x1b[B"
	pageUp   = "\x1b[5~"
	pageDown = "\x1b[6~"
)

// aKey is one key of those that came together. Cursor keys come in two ways.
var aKey = regexp.MustCompile(`(?s)\x1b[[O][0-9;]*[A-Za-z~]|.`)

// typed sends the keys that are pressed, until ctx ends or there is nothing more to read.
func typed(ctx context.Context, in io.Reader, keys chan<- string) {
	for buffer := make([]byte, 64); ; {
		n, err := in.Read(buffer)
		if err != nil {
			return
		}
		for _, key := range aKey.FindAllString(string(buffer[:n]), -1) {
			select {
			case keys <- strings.Replace(key, "\x1bO", "\x1b[", 1):
			case <-ctx.Done():
				return
			}
		}
	}
}

// press moves the text as a key says, as pagers do; other keys do nothing.
func (s *screen) press(key string, rows int) {
	switch key {
	case keyDown, "j":
		s.from++
	case keyUp, "k":
		s.from--
	case pageDown, " ":
		s.from += max(rows-2, 1) // a line of the page before stays
	case pageUp, "b":
		s.from -= max(rows-2, 1)
	case "g":
		s.from = 0
	case "G":
		s.from = strings.Count(s.text, "\n")
	}
}

// draw is what fills a terminal: the text, and on the last row what there is beyond and what keys do.
// It ends where the text or the terminal does, whatever the text has become.
func (s *screen) draw(columns, rows int) string {
	lines := strings.Split(strings.TrimRight(s.text, "\n"), "\n")
	room := max(rows-1, 1)
	s.from = max(0, min(s.from, len(lines)-room))
	end := min(s.from+room, len(lines))
	footer := "q ends"
	if len(lines) > room {
		footer = fmt.Sprintf("lines %d to %d of %d: arrow and page keys move; q ends", s.from+1, end, len(lines))
	}
	all := fitting(strings.Join(append(lines[s.from:end:end], footer), "\n"), columns, rows)
	return "\x1b[H" + strings.Join(all, "\x1b[K\r\n") + "\x1b[K\x1b[J"
}

// fitting is the lines of a text as they fit: what does not is left out, so that no line
// wraps and nothing scrolls.
func fitting(text string, columns, rows int) []string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	lines = lines[:min(len(lines), max(rows, 1))]
	for i, line := range lines {
		cut := []rune(line)
		lines[i] = string(cut[:min(len(cut), columns)])
	}
	return lines
}
