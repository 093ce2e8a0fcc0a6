package wire

import "fmt"

// Kind says how a field is written, and what the script takes it for.
type Kind int

// The kinds.
const (
	Name      Kind = iota // text from outside, escaped so that it holds no separator
	Text                  // text of the ledger's own making
	Int                   // an integer
	Count                 // an integer that is not negative
	Micros                // a duration, in microseconds
	Float                 // a finite number, not far below zero
	Scaled                // one in a book's own terms: how far it is from zero depends on the book's scale
	FloatText             // one that the script copies more often than it reckons with it
	Flag                  // 0 or 1
	Ticket                // a ticket's id, in hexadecimal that sorts as the ids compare
	Score                 // a number in 16 hexadecimal digits that sort as the numbers do
	Padded                // an integer in 20 digits, so that strings compare
	Hex                   // an integer in 16 hexadecimal digits, likewise
	One                   // a record as one text
	Items                 // any number of records, or of values, as one text
	List                  // any number of records, or of values, each field by itself
	Pairs                 // names and numbers in turn, as Redis answers them
)

// Field is one field of a record. Go is where its value is in the record's Go type, or
// an expression in which $ stands for it; empty where Go has none.
type Field struct {
	Name string
	Kind Kind
	Go   string
	Of   *Record // of One, Items and List
	Each Kind    // of Items and List that have no record
}

// isList says whether a field is any number of items in a reply.
func (f *Field) isList() bool { return f.Kind == List || f.Kind == Items || f.Kind == Pairs }

// Record is fields in an order. Go is its type, where it has one. Head is how many of the
// first the script reads alone, too. Inner is set for one that is an item of another. Kept is
// set for one that a function library may find as it left it.
type Record struct {
	Name   string
	Go     string
	Doc    string
	Fields []Field
	Head   int
	Inner  bool
	Kept   bool
}

// separator is a control character that stands in texts, by its names in the script and in Go.
type separator struct {
	name, goName string
	char         byte
}

// What stands between the fields of a record, between items, and between the fields of an
// item that is a record: no text holds one, see [Name].
var separators = [...]separator{{"FIELD", "fieldSeparator", 31}, {"ITEM", "itemSeparator", 30}, {"PART", "partSeparator", 29}}

// separator is what stands between a record's fields.
func (r *Record) separator() *separator {
	if r.Inner {
		return &separators[2]
	}
	return &separators[0]
}

// escaped is the character as Lua writes it in a text.
func (s *separator) escaped() string { return fmt.Sprintf(`\%d`, s.char) }

// Key is a kind of key. Of says what there is one for each of.
type Key struct {
	Name, Type, Of, Doc string
}
