package wire

import (
	"fmt"
	"strings"
)

// before is how many arguments are before the statement's: the format, what takes the place of the
// server's clock, and the settings.
const before = 3

// statement writes what reads the arguments. The settings are mostly those of the turn before.
func (w *writer) statement() {
	w.line("local %s -- %s, and the text that they were read from", Settings.Name+", settings_text", lower(Settings.Doc))
	w.line("local clock -- what takes the place of the server's; empty for that one")
	w.line("local %s -- %s", Statement.Name, lower(Statement.Doc))
	w.line("local EMPTY = {} -- nothing is ever put into it")
	w.line("")
	w.line("local function read_settings(s)")
	w.line("  if s == settings_text then return end")
	var names, values []string
	for i := range Settings.Fields {
		f := &Settings.Fields[i]
		names, values = append(names, f.Name), append(values, f.Name+" = "+argument(f, f.Name))
	}
	w.wrapped("  local ", names, " =")
	w.line("    match(s, '%s')", pattern(&Settings))
	w.wrapped("  settings, settings_text = { ", values, " }, s")
	w.line("end")
	w.line("")
	w.line("local function read_arguments(ARGV)")
	w.line("  clock = ARGV[2]")
	w.line("  read_settings(ARGV[3])")
	w.line("  %s = {", Statement.Name)
	at := before
	for i := range Statement.Fields {
		if f := &Statement.Fields[i]; f.Kind != List {
			at++
			w.line("    %s = %s,", f.Name, argument(f, fmt.Sprintf("ARGV[%d]", at)))
		} else {
			w.line("    %s = EMPTY,", f.Name)
		}
	}
	w.line("  }")
	w.line("  local at = %d", at)
	for i := range Statement.Fields {
		f := &Statement.Fields[i]
		if f.Kind != List {
			continue
		}
		w.line("  at = at + 1")
		w.line("  if ARGV[at] ~= '0' then")
		w.line("    local list = {}")
		w.line("    for i = 1, ARGV[at] + 0 do")
		if f.Of == nil {
			w.line("      list[i] = %s", argument(&Field{Kind: f.Each}, "ARGV[at + i]"))
			w.line("    end")
			w.line("    at = at + #list")
		} else {
			w.line("      list[i] = {")
			for j := range f.Of.Fields {
				w.line("        %s = %s,", f.Of.Fields[j].Name, argument(&f.Of.Fields[j], fmt.Sprintf("ARGV[at + %d]", j+1)))
			}
			w.line("      }")
			w.line("      at = at + %d", len(f.Of.Fields))
			w.line("    end")
		}
		w.line("    %s.%s = list", Statement.Name, f.Name)
		w.line("  end")
	}
	w.line("end")
}

// lower begins a sentence's words in the middle of another.
func lower(doc string) string {
	return strings.ToLower(doc[:1]) + strings.TrimSuffix(doc[1:], ".")
}

// argument is what the script takes an argument for. To reckon with a text takes it for a number
// in a third of the time that tonumber takes, and what is none ends the turn.
func argument(f *Field, text string) string {
	switch f.Kind {
	case Int, Count, Micros, Float:
		return text + " + 0"
	case Flag:
		return text + " == '1'"
	default:
		return text
	}
}
