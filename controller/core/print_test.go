package core_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// printed is what a Ready asks for, a line each; empty if it asks for nothing.
func printed(r *core.Ready) string {
	var out strings.Builder
	for _, d := range r.Decisions {
		fmt.Fprintf(&out, "decided %v: %v", d.Tag, d.Outcome)
		if d.Preferred {
			fmt.Fprintf(&out, ", preferred %s with %d", d.Endpoint, d.EndpointInFlight)
		} else if d.Endpoint != "" {
			fmt.Fprintf(&out, ", least loaded %s with %d", d.Endpoint, d.EndpointInFlight)
		}
		if !d.Offered.IsZero() {
			fmt.Fprintf(&out, ", offered at %s", d.Offered.Format("05.000"))
		}
		if !d.Lined.IsZero() && !d.Offered.IsZero() {
			fmt.Fprintf(&out, ", in line at %s", d.Lined.Format("05.000"))
		}
		out.WriteString("\n")
	}
	for _, seq := range r.Revoked {
		fmt.Fprintf(&out, "revoke %d\n", seq)
	}
	for i := range r.Messages {
		printMessage(&out, &r.Messages[i])
	}
	for _, m := range r.Moves {
		fmt.Fprintf(&out, "moved %d shards and %d tickets in %v: joined %v, left %v\n", m.Shards, m.Tickets, m.Took, m.Joined, m.Left)
	}
	if r.Loads != nil {
		fmt.Fprintf(&out, "others' loads:%s\n", loads(r.Loads))
	}
	if r.Turn != nil {
		printTurn(&out, r.Turn)
	}
	return out.String()
}

// printedEnd is whether the replica has left the ledger, or the fleet needs it no more.
func printedEnd(r *core.Ready) (out string) {
	if r.Retired {
		out += "retired\n"
	}
	if r.Left {
		out += "left\n"
	}
	return out
}

// flag is a word that is printed where it is set.
type flag struct {
	set  bool
	name string
}

func printFlags(out *strings.Builder, flags ...flag) {
	for _, f := range flags {
		if f.set {
			out.WriteString(" " + f.name)
		}
	}
}

// printMessage prints what goes to another replica.
func printMessage(out *strings.Builder, m *coordinator.Message) {
	fmt.Fprintf(out, "to %s:", m.To)
	if m.Number != 0 {
		fmt.Fprintf(out, " number %d", m.Number)
	}
	printFlags(out, flag{m.Full, "full"}, flag{m.Resync, "resync"}, flag{m.Leaving, "leaving"}, flag{m.LedgerLost, "lost"})
	if m.Turn != 0 {
		fmt.Fprintf(out, " turns of %v", m.Turn.Round(time.Millisecond))
	}
	for i := range m.Queued {
		fmt.Fprintf(out, " queue %s/%d", m.Queued[i].Flow, m.Queued[i].ID.Seq)
	}
	for _, list := range []struct {
		name string
		seqs []uint64
	}{{"gone", m.Gone}, {"rejected", m.Rejected}, {"unserved", m.Unserved}, {"declined", m.Declined}, {"offered", m.Offered}} {
		if len(list.seqs) > 0 {
			fmt.Fprintf(out, " %s %v", list.name, list.seqs)
		}
	}
	for i, why := range m.Refusals {
		fmt.Fprintf(out, " %d:%v", m.Rejected[i], why.Cause)
	}
	if m.Acknowledged != 0 {
		fmt.Fprintf(out, " acknowledged %d", m.Acknowledged)
	}
	out.WriteString("\n")
}

// printTurn prints a statement for the ledger.
func printTurn(out *strings.Builder, s *store.Statement) {
	ticket := func(id policies.TicketID) string { // another replica's with its ingress
		if id.Ingress == s.Replica {
			return strconv.FormatUint(id.Seq, 10)
		}
		return id.String()
	}
	fmt.Fprintf(out, "turn %d:", s.Number)
	printFlags(out, flag{s.Register, "register"}, flag{s.Full, "full"}, flag{s.Alone, "alone"}, flag{s.Leave, "leave"})
	if s.Register && s.Members > 1 {
		fmt.Fprintf(out, " members %d", s.Members)
	}
	for _, run := range s.Ended {
		fmt.Fprintf(out, " ended %s;", run.Replica)
	}
	for _, b := range s.Bands {
		fmt.Fprintf(out, " band %d limit %d in flight %d queued %d", b.Priority, b.Limit, b.InFlight, b.Queued)
		if b.Weight > 0 {
			fmt.Fprintf(out, " weight %s", number(b.Weight))
		}
		if b.Guaranteed > 0 {
			fmt.Fprintf(out, " guaranteed %s", number(b.Guaranteed))
		}
		if b.Owed != 0 {
			fmt.Fprintf(out, " owed %s", number(b.Owed))
		}
		out.WriteString(";")
	}
	if s.Float > 0 {
		fmt.Fprintf(out, " float %d of %d;", s.Float, s.WantFloat)
	}
	if s.InLine > 0 {
		fmt.Fprintf(out, " line %d of %d;", s.InLine, s.WantLine)
	}
	for _, id := range s.Withdrawn {
		fmt.Fprintf(out, " withdraw %s", ticket(id))
	}
	for _, o := range s.Offers {
		fmt.Fprintf(out, " offer %s/%s@%s", o.Flow, ticket(o.Ticket), number(o.Rank))
		if o.Idle {
			out.WriteString("(idle)")
		}
	}
	for _, c := range s.Settlements {
		fmt.Fprintf(out, " settle %s by %s", c.Flow, number(c.Delta))
		if c.Last != 0 {
			out.WriteString(" (float)")
		}
		if c.Tokens != 0 {
			fmt.Fprintf(out, " and %s tokens", number(c.Tokens))
		}
	}
	for _, f := range s.Limited {
		if f.Group != "" {
			fmt.Fprintf(out, " group %s %d in flight guaranteed %s owed %s", f.Group, f.InFlight, number(f.Guaranteed), number(f.Owed))
			continue
		}
		fmt.Fprintf(out, " limited %s %d of %d", f.Flow, f.InFlight, f.MaxInFlight)
	}
	for _, r := range s.Sheddable {
		fmt.Fprintf(out, " sheddable %d", r.Seq)
	}
	if s.Revoking > 0 {
		fmt.Fprintf(out, " revoking %d", s.Revoking)
	}
	if len(s.Loads) > 0 {
		out.WriteString(" loads" + loads(s.Loads))
	}
	out.WriteString("\n")
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// loads prints endpoints' loads.
func loads(all []store.Load) string {
	var out strings.Builder
	for _, l := range all {
		fmt.Fprintf(&out, " %s=%d", l.Endpoint, l.InFlight)
		if l.Permits > 0 {
			fmt.Fprintf(&out, "+%d", l.Permits)
		}
		if l.Capacity == store.Closed {
			out.WriteString("/closed")
		} else if l.Capacity > 0 {
			fmt.Fprintf(&out, "/%d", l.Capacity)
		}
	}
	return out.String()
}
