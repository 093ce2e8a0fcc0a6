package storetest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// Transcripts runs the scripts in a folder against ledgers of the factory: the
// specification of a turn, for people. Their commands are:
//
//	replica a [limit=1] [members=1]  says who a is: a replica of one band, priority 0
//	                                 under the policy fair, until its turns say otherwise
//	finish a [n=1]                   n of the requests that it was granted have ended
//	spend a [n=1]                    n requests of it went by float
//	advance 500ms                    lets time pass
//	turn a [register] [full]         takes a turn of it; it registers where it has to
//	       [alone] [leave] [evicts]
//	       [loads] [holders]         asks for the endpoints' loads, for what flows elsewhere hold
//	       [lost]                    the reply is lost
//	       [float=1] [wants=2]       it keeps a permit, and has use for two
//	       [line=1] [wants-line=2]   a ticket stands in line at it, and it has use for two
//	       [batch=1]                 its settlements are those of a batch stated before
//	       [times=1]                 so many turns, of which the last is printed
//	       [longest=2s]              how long its requests took at most
//	again a                          the last turn arrives once more
//
// Lines under turn are what it states beside what it has in flight:
//
//	band 0 fair limit=2 queued=3 largest=0.1  another limit from now on, or a band more
//	band 0 guaranteed=1.5                     so many slots are guaranteed to it
//	offer f/1 rank=0 charge=1 idle    ticket 1 of its own, of flow f; b:1 is b's
//	withdraw 1
//	settle f delta=4 counter=1 tokens=0 last=1
//	counter f 7
//	limited f most=1 tokens=60 in-flight=0
//	load x 2, or load x gone
//	sheddable 1 priority=-1 score=0
//	dead b
//	ended b
func Transcripts(t *testing.T, folder string, factory Factory) {
	datadriven.Walk(t, folder, func(t *testing.T, path string) {
		clock := NewClock()
		s := &transcript{clock: clock, ledger: factory(t, clock.Now), parties: map[string]*party{}}
		datadriven.RunTest(t, path, s.run)
	})
}

type transcript struct {
	clock   *Clock
	ledger  store.Ledger
	parties map[string]*party
	last    *store.Statement
}

func (s *transcript) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	if d.Cmd == "advance" {
		passed, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		s.clock.Advance(passed)
		return ""
	}
	id := d.CmdArgs[0].Key
	p := s.parties[id]
	switch d.Cmd {
	case "replica":
		p = newParty(t, s.ledger, id, counting(0, number(d, t, "limit", 1)))
		p.members = int(number(d, t, "members", 1))
		s.parties[id] = p
	case "finish":
		p.finish(number(d, t, "n", 1))
	case "spend":
		p.finish(-number(d, t, "n", 1))
	case "turn":
		for range number(d, t, "times", 1) - 1 {
			p.turn(nil)
		}
		return s.turn(t, d, p)
	case "again":
		return s.take(d, p, s.last)
	default:
		d.Fatalf(t, "no such command: %s", d.Cmd)
	}
	return ""
}

// number is a command's argument.
func number(d *datadriven.TestData, t *testing.T, key string, otherwise int64) int64 {
	if d.HasArg(key) {
		d.ScanArgs(t, key, &otherwise)
	}
	return otherwise
}

// turn takes a turn and prints what the ledger answers.
func (s *transcript) turn(t *testing.T, d *datadriven.TestData, p *party) string {
	t.Helper()
	p.register = p.register || d.HasArg("register")
	lines := readLines(t, d)
	for _, l := range lines {
		if l.verb == "band" {
			p.setBand(l)
		}
	}
	s.last = p.statement(func(st *store.Statement) {
		st.Full, st.Alone, st.Leave, st.Evicts = d.HasArg("full"), d.HasArg("alone"), d.HasArg("leave"), d.HasArg("evicts")
		for _, l := range lines {
			l.state(p, st)
		}
		st.Float, st.WantFloat = number(d, t, "float", 0), number(d, t, "wants", 0)
		st.InLine, st.WantLine = number(d, t, "line", 0), number(d, t, "wants-line", 0)
		st.WantLoads, st.WantHolders = len(st.Loads) > 0 || d.HasArg("loads"), d.HasArg("holders")
	})
	if d.HasArg("longest") {
		var text string
		d.ScanArgs(t, "longest", &text)
		longest, err := time.ParseDuration(text)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		s.last.Longest = longest
	}
	if d.HasArg("batch") {
		d.ScanArgs(t, "batch", &s.last.Batch)
		p.batch = s.last.Batch
	}
	return s.take(d, p, s.last)
}

// take takes a statement to the ledger.
func (s *transcript) take(d *datadriven.TestData, p *party, statement *store.Statement) string {
	reply, err := s.ledger.Turn(context.Background(), statement)
	if err != nil {
		return err.Error() + "\n"
	}
	if d.HasArg("lost") {
		return "the reply is lost\n"
	}
	out := &strings.Builder{}
	printReply(out, p, statement, reply)
	p.take(statement, reply)
	p.granted = nil
	return out.String()
}

// printReply prints what a replica is answered.
func printReply(out *strings.Builder, p *party, st *store.Statement, r *store.Reply) {
	switch {
	case r.Status == store.Register:
		out.WriteString("must register\n")
		return
	case st.Register:
		out.WriteString("registered, ")
	}
	if r.Recovering {
		out.WriteString("recovering, ")
	}
	fmt.Fprintf(out, "%d in flight", r.InFlight)
	if r.Queued > 0 {
		fmt.Fprintf(out, ", %d queued down to %d", r.Queued, r.Lowest)
	}
	fmt.Fprintf(out, ", %d with a lease", r.Members)
	for _, b := range r.Bands {
		fmt.Fprintf(out, ", V of %d at %s", b.Priority, short(b.VirtualTime))
		if b.Guaranteed > 0 {
			fmt.Fprintf(out, ", which is owed %s of %s slots", short(b.Owed), short(b.Guaranteed))
		}
		if b.Largest > 0 {
			fmt.Fprintf(out, " and a flow elsewhere with %s of the buffer", short(b.Largest))
		}
	}
	out.WriteString("\n")
	if st.Float+st.WantFloat > 0 {
		fmt.Fprintf(out, "%d permits, may keep %d", r.Float, r.FloatShare)
		if r.FloatShare > 0 {
			fmt.Fprintf(out, ", under the limit %d", r.FloatLimit)
		}
		out.WriteString("\n")
	}
	if r.LineRecalled {
		out.WriteString("what stands in line must go back\n")
	}
	for i := range r.Messages {
		printMessage(out, p, &r.Messages[i])
	}
	for _, seq := range r.Revoke {
		fmt.Fprintf(out, "revoke %d\n", seq)
	}
	tokens := map[string]bool{}
	for i := range st.Limited {
		tokens[st.Limited[i].Flow] = st.Limited[i].TokensPerMinute > 0
	}
	for _, room := range r.Rooms {
		fmt.Fprintf(out, "room of %s:", room.Flow)
		if room.InFlight != store.Unlimited {
			fmt.Fprintf(out, " %d requests", room.InFlight)
		}
		if tokens[room.Flow] {
			fmt.Fprintf(out, " %s tokens", short(room.Tokens))
		}
		out.WriteString("\n")
	}
	for _, l := range r.Lost {
		fmt.Fprintf(out, "lost: %s counts for %d, for %v at most\n", l.Replica, l.Held, l.For)
	}
	for _, l := range r.Loads {
		fmt.Fprintf(out, "load of %s: %d\n", l.Endpoint, l.InFlight)
	}
}

func printMessage(out *strings.Builder, p *party, m *store.Message) {
	var kinds []string
	for _, k := range []struct {
		kind store.MessageKind
		name string
	}{{store.Granted, "granted"}, {store.Lined, "in line"}, {store.Taken, "taken"}, {store.Dropped, "dropped"}, {store.AtLimit, "at limit"}} {
		if m.Kind&k.kind != 0 {
			kinds = append(kinds, k.name)
		}
	}
	ticket := strconv.FormatUint(m.Ticket.Seq, 10)
	if m.Ticket.Ingress != p.id {
		ticket = m.Ticket.Ingress + ":" + ticket
	}
	if m.Ticket == (policies.TicketID{}) {
		fmt.Fprintf(out, "message %d: the first in line is granted", m.Number)
	} else {
		fmt.Fprintf(out, "message %d: %s/%s %s", m.Number, m.Flow, ticket, strings.Join(kinds, " and "))
	}
	if m.Kind&(store.Lined|store.Taken) != 0 || m.Kind&store.Granted != 0 && m.Charge != 0 {
		fmt.Fprintf(out, ", counter %s", short(m.Counter))
	}
	if m.Endpoint != "" {
		fmt.Fprintf(out, ", to %s with %d", m.Endpoint, m.EndpointInFlight)
	}
	if m.Number <= p.read {
		out.WriteString(" (read)")
	}
	out.WriteString("\n")
}

// short prints a number in the least digits that tell it within a millionth.
func short(x float64) string { return strconv.FormatFloat(math.Round(x*1e6)/1e6, 'g', -1, 64) }

// line is one line under a turn: a verb, what it is about, and settings.
type line struct {
	verb     string
	about    []string
	settings map[string]string
}

func readLines(t *testing.T, d *datadriven.TestData) []line {
	t.Helper()
	var lines []line
	for text := range strings.Lines(d.Input) {
		l := line{settings: map[string]string{}}
		for _, word := range strings.Fields(text) {
			key, value, set := strings.Cut(word, "=")
			switch {
			case set:
				l.settings[key] = value
			case l.verb == "":
				l.verb = word
			default:
				l.about = append(l.about, word)
			}
		}
		if len(l.about) == 0 {
			d.Fatalf(t, "what is %q about?", text)
		}
		lines = append(lines, l)
	}
	return lines
}

func (l *line) number(key string, otherwise float64) float64 {
	if text, set := l.settings[key]; set {
		return parse(text)
	}
	return otherwise
}

func parse(text string) float64 {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return x
}

// setBand changes one of the party's bands, or adds it.
func (p *party) setBand(l line) {
	priority := int(parse(l.about[0]))
	i := slices.IndexFunc(p.bands, func(b store.Band) bool { return b.Priority == priority })
	if i < 0 {
		p.bands = append(p.bands, counting(priority, 1))
		slices.SortFunc(p.bands, func(a, b store.Band) int { return b.Priority - a.Priority })
		i = slices.IndexFunc(p.bands, func(b store.Band) bool { return b.Priority == priority })
	}
	b := &p.bands[i]
	if len(l.about) > 1 {
		b.Policy = l.about[1]
		b.CountsService, b.LiftsIdle = b.Policy != "strict", b.Policy != "strict"
	}
	b.Limit, b.Queued = int64(l.number("limit", float64(b.Limit))), int64(l.number("queued", float64(b.Queued)))
	b.Wanted = int64(l.number("wanted", float64(b.Wanted)))
	b.Guaranteed = l.number("guaranteed", b.Guaranteed)
	b.VirtualTime, b.Largest = l.number("V", b.VirtualTime), l.number("largest", b.Largest)
}

// ticketID is the ticket that a line is about: the party's own, or another's with its name.
func (p *party) ticketID(text string) policies.TicketID {
	if ingress, seq, others := strings.Cut(text, ":"); others {
		return policies.TicketID{Ingress: ingress, Seq: uint64(parse(seq))}
	}
	return policies.TicketID{Ingress: p.id, Seq: uint64(parse(text))}
}

// state adds what the line says to the statement.
func (l *line) state(p *party, st *store.Statement) {
	about, priority := l.about[0], int(l.number("priority", 0))
	switch l.verb {
	case "offer":
		flow, ticket, _ := strings.Cut(about, "/")
		o := store.Offer{
			Ticket: p.ticketID(ticket), Flow: flow, Priority: priority, Rank: l.number("rank", 0), Charge: l.number("charge", 1),
			Idle: slices.Contains(l.about, "idle"), Tokens: l.number("tokens", 0),
		}
		o.Score = l.number("score", float64(o.Ticket.Seq))
		st.Offers = append(st.Offers, o)
	case "withdraw":
		st.Withdrawn = append(st.Withdrawn, p.ticketID(about))
	case "settle":
		st.Settlements = append(st.Settlements, store.Settlement{
			Flow: about, Priority: priority, Policy: "fair",
			Delta: l.number("delta", 0), Counter: l.number("counter", 0), Tokens: l.number("tokens", 0),
			Last: l.number("last", 0),
		})
	case "counter":
		st.Counters = append(st.Counters, store.Counter{Flow: about, Priority: priority, Value: parse(l.about[1])})
	case "limited":
		st.Limited = append(st.Limited, store.Limited{
			Flow:        about,
			MaxInFlight: int64(l.number("most", 0)), TokensPerMinute: l.number("tokens", 0), InFlight: int64(l.number("in-flight", 0)),
		})
	case "load":
		n := int64(store.Gone)
		if l.about[1] != "gone" {
			n = int64(parse(l.about[1]))
		}
		st.Loads = append(st.Loads, store.Load{Endpoint: about, InFlight: n})
	case "sheddable":
		st.Sheddable = append(st.Sheddable, store.Sheddable{Seq: uint64(parse(about)), Priority: priority, Score: l.number("score", 0)})
	case "dead":
		st.Dead = append(st.Dead, about)
	case "ended":
		st.Ended = append(st.Ended, store.Run{Replica: about, Incarnation: 1})
	}
}
