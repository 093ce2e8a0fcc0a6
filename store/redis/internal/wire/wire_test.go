package wire

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/weirflow/weir/store"
)

// TestGeneratedIsCurrent wants the generated files to be what the table says.
func TestGeneratedIsCurrent(t *testing.T) {
	golang, err := Go()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"../../wire.go": golang}
	for name, text := range Lua() {
		files["../../turn/"+name] = text
	}
	for file, want := range files {
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is not what the table says: run go generate ./store/redis", file)
		}
	}
}

// TestTableIsWhole wants every field of the contract in the table, so that none is lost
// on the way.
func TestTableIsWhole(t *testing.T) {
	elsewhere := map[string]string{ // fields that are not one field of the wire
		"store.Reply.Now": "from now, in microseconds", "store.Reply.Loads": "from loads, tokens and places",
		"store.Wakeup.Messages": "lines of their own",
		"store.Band.Priority":   "in total", "store.Band.Limit": "in total", "store.Band.InFlight": "in total", "store.Band.Guaranteed": "in total",
		"store.Band.Queued": "in total", "store.Band.QueuedBytes": "in total", "store.Band.Largest": "in total", "store.Band.Weight": "in total", "store.Band.Wanted": "in total",
	}
	whole := func(of reflect.Type, r *Record) {
		t.Helper()
		covered := map[string]bool{}
		for i := range r.Fields {
			covered[r.Fields[i].Go] = true
		}
		for i := range of.NumField() {
			name := of.Field(i).Name
			if said := elsewhere[of.String()+"."+name] != ""; covered[name] == said {
				t.Errorf("%s.%s: in the table: %v, elsewhere: %v; want one of the two", of, name, covered[name], said)
			}
		}
	}
	contract := map[string]reflect.Type{
		"store.Band": reflect.TypeFor[store.Band](), "store.Limited": reflect.TypeFor[store.Limited](),
		"store.Load": reflect.TypeFor[store.Load](), "store.Settlement": reflect.TypeFor[store.Settlement](),
		"store.Counter": reflect.TypeFor[store.Counter](), "store.Offer": reflect.TypeFor[store.Offer](),
		"store.BandTotal": reflect.TypeFor[store.BandTotal](), "store.Room": reflect.TypeFor[store.Room](),
		"store.Run": reflect.TypeFor[store.Run](), "store.Lost": reflect.TypeFor[store.Lost](), "store.Group": reflect.TypeFor[store.Group](),
		"store.Permit": reflect.TypeFor[store.Permit](), "store.Yield": reflect.TypeFor[store.Yield](),
	}
	lists := func(r *Record) {
		for i := range r.Fields {
			if f := &r.Fields[i]; f.Kind == List && f.Of != nil && strings.HasPrefix(f.Of.Go, "store.") {
				whole(contract[f.Of.Go], f.Of)
			}
		}
	}
	whole(reflect.TypeFor[store.Statement](), &Statement)
	whole(reflect.TypeFor[store.Reply](), &Reply)
	whole(reflect.TypeFor[store.Message](), &Message)
	whole(reflect.TypeFor[store.Wakeup](), &Wakeup)
	whole(reflect.TypeFor[store.Sheddable](), &Sheddable)
	lists(&Statement)
	lists(&Reply)
}

// TestFormatFollowsWhatIsKept changes what is kept in every way, and wants another
// format each time.
func TestFormatFollowsWhatIsKept(t *testing.T) {
	before := Format()
	for _, r := range Kept {
		for i := range r.Fields {
			was := r.Fields[i]
			r.Fields[i].Kind++
			if Format() == before {
				t.Errorf("another kind of %s.%s is the same format", r.Name, was.Name)
			}
			r.Fields[i] = was
		}
		fields := r.Fields
		r.Fields = append(fields[:len(fields):len(fields)], Field{Name: "new"})
		if Format() == before {
			t.Errorf("another field of %s is the same format", r.Name)
		}
		r.Fields = fields
		r.Inner = !r.Inner
		if Format() == before {
			t.Errorf("another separator between the fields of %s is the same format", r.Name)
		}
		r.Inner = !r.Inner
	}
	for i := range separators {
		was := separators[i]
		separators[i].char = '!'
		if Format() == before {
			t.Errorf("another character as %s is the same format", was.name)
		}
		separators[i] = was
	}
	for i := range Keys {
		was := Keys[i]
		Keys[i].Name += "s"
		if Format() == before {
			t.Errorf("another key than %s is the same format", was.Name)
		}
		Keys[i] = was
	}
	if after := Format(); after != before || len(strings.Trim(after, "0123456789abcdef")) > 0 {
		t.Errorf("the format is %q, and was %q", after, before)
	}
}
