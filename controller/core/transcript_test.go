package core_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/policies/usagelimit"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// TestTranscripts runs the scripts in testdata: events go in, what Ready hands
// out is printed. Turns go to a memory ledger only when the script says so.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := newScript(t)
		datadriven.RunTest(t, path, s.run)
	})
}

type script struct {
	cfg    core.Config
	core   *core.Core
	ledger *memory.Ledger
	now    time.Time
	began  time.Time
	turn   *store.Statement
}

func newScript(t *testing.T) *script {
	t.Helper()
	s := &script{began: time.Unix(1_800_000_000, 0)}
	s.now = s.began
	s.ledger = memory.New(memory.Config{Clock: func() time.Time { return s.now }})
	static, err := usagelimit.NewStatic("static", 1)
	if err != nil {
		t.Fatal(err)
	}
	s.cfg = core.Config{
		Replica: "me", Incarnation: 1,
		Shard: shard.Config{Shards: 256, OffersPerBand: 4, Idle: time.Minute, Band: func(int) shard.BandConfig {
			return shard.BandConfig{
				MaxRequests: 6, MaxBytes: 1e9,
				Fairness: fairness.NewRoundRobin("rr"), Ordering: ordering.NewFCFS("fcfs"),
			}
		}},
		UsageLimit: static, TTL: 10 * time.Second, NoEndpointTTL: 2 * time.Second,
		Lease: 3 * time.Second, WaitingTurn: 25 * time.Millisecond, OutageAfter: 500 * time.Millisecond,
		PeerTimeout: 500 * time.Millisecond,
	}
	s.core = core.New(s.cfg)
	return s
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	number := func(key string, otherwise int) int {
		if d.HasArg(key) {
			d.ScanArgs(t, key, &otherwise)
		}
		return otherwise
	}
	switch d.Cmd {
	case "in-fleet": // who lives will be told
		s.cfg.InFleet = true
		s.core = core.New(s.cfg)
	case "pool":
		s.core.SetPool(s.now, core.Pool{Endpoints: number("endpoints", 1), Limit: int64(number("limit", 1))})
	case "endpoints": // endpoints x y z
		var addresses []string
		for _, a := range d.CmdArgs {
			addresses = append(addresses, a.Key)
		}
		s.core.SetEndpoints(addresses)
	case "place": // place seq=1 at=x
		var at string
		d.ScanArgs(t, "at", &at)
		s.core.Place(uint64(number("seq", 0)), at)
	case "enqueue": // enqueue flow=a seq=1 [to=3] [priority=0]
		var flow string
		d.ScanArgs(t, "flow", &flow)
		from := number("seq", 0)
		for n := from; n <= number("to", from); n++ {
			s.core.Enqueue(s.now, core.Request{Seq: uint64(n), Tag: n, Flow: policies.FlowKey{ID: flow, Priority: number("priority", 0)}})
		}
	case "cancel":
		s.core.Cancel(s.now, uint64(number("seq", 0)), core.EvictedContextCancelled, core.ErrContextCancelled)
	case "complete":
		s.core.Complete(s.now, uint64(number("seq", 0)), core.Usage{})
	case "advance":
		took, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		s.now = s.now.Add(took)
		s.core.Tick(s.now)
	case "ledger": // the turn under way reaches the ledger, and its reply comes back
		reply, err := s.ledger.Turn(context.Background(), s.turn)
		s.core.TurnDone(s.now, reply, err)
		if err == nil && reply.Status != store.OK {
			return "status " + reply.Status.String() + "\n" + s.ready()
		}
	case "lost": // the turn reaches the ledger, its reply is lost
		if _, err := s.ledger.Turn(context.Background(), s.turn); err != nil {
			t.Fatal(err)
		}
		s.core.TurnDone(s.now, nil, store.ErrUnavailable)
	case "fail": // the turn does not reach the ledger
		s.core.TurnDone(s.now, nil, store.ErrUnavailable)
	case "wipe":
		s.ledger.Wipe()
	case "wake": // wake registered=1 number=2 flow=a seq=1: a grant left by another's turn
		w := store.Wakeup{Incarnation: 1, Registered: uint64(number("registered", 0))}
		var flow string
		d.ScanArgs(t, "flow", &flow)
		w.Messages = []store.Message{{
			Number: uint64(number("number", 0)), Kind: store.Granted | store.Taken, Flow: flow, Charge: 1,
			Ticket: policies.TicketID{Ingress: "me", Seq: uint64(number("seq", 0))},
		}}
		s.core.Wake(s.now, &w)
	case "members": // members b c: who lives beside this replica
		var m coordinator.Members
		for _, a := range d.CmdArgs {
			m.Live = append(m.Live, coordinator.Member{ID: a.Key, Incarnation: 1})
		}
		s.core.SetMembers(s.now, m)
	case "stream": // stream b up
		s.core.SetStream(s.now, d.CmdArgs[0].Key, d.CmdArgs[1].Key == "up")
	case "receive": // receive b number=1 queued=(flow/seq,...) gone=(seq,...) rejected=(seq,...) acknowledged=1 restate resync leaving lost
		s.core.Receive(s.now, heard(t, d))
	case "retire":
		s.core.Retire(s.now)
	default:
		t.Fatalf("no such command: %s", d.Cmd)
	}
	return s.ready()
}

// ticket names a ticket: another replica's with its ingress.
func ticket(id policies.TicketID) string {
	if id.Ingress == "me" {
		return strconv.FormatUint(id.Seq, 10)
	}
	return id.String()
}

// heard is the message that a receive command describes.
func heard(t *testing.T, d *datadriven.TestData) *coordinator.Message {
	t.Helper()
	from := d.CmdArgs[0].Key
	m := &coordinator.Message{
		From: from, Incarnation: 1, To: "me", ToIncarnation: 1,
		Restate: d.HasArg("restate"), Resync: d.HasArg("resync"), Leaving: d.HasArg("leaving"), LedgerLost: d.HasArg("lost"),
	}
	number := func(text string) uint64 {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		return n
	}
	for _, a := range d.CmdArgs[1:] {
		for _, v := range a.Vals {
			switch a.Key {
			case "number":
				m.Number = number(v)
			case "acknowledged":
				m.Acknowledged = number(v)
			case "gone":
				m.Gone = append(m.Gone, number(v))
			case "rejected":
				m.Rejected = append(m.Rejected, number(v))
			case "queued":
				flow, seq, _ := strings.Cut(v, "/")
				m.Queued = append(m.Queued, shard.Ticket{
					ID: policies.TicketID{Ingress: from, Seq: number(seq)}, Flow: policies.FlowKey{ID: flow},
				})
			}
		}
	}
	return m
}

// said prints what goes to another replica.
func said(out *strings.Builder, m *coordinator.Message) {
	fmt.Fprintf(out, "to %s:", m.To)
	if m.Number != 0 {
		fmt.Fprintf(out, " number %d", m.Number)
	}
	for _, flag := range []struct {
		set  bool
		name string
	}{{m.Restate, "restate"}, {m.Resync, "resync"}, {m.Leaving, "leaving"}, {m.LedgerLost, "lost"}} {
		if flag.set {
			out.WriteString(" " + flag.name)
		}
	}
	for i := range m.Queued {
		fmt.Fprintf(out, " queue %s/%d", m.Queued[i].Flow, m.Queued[i].ID.Seq)
	}
	for _, list := range []struct {
		name string
		seqs []uint64
	}{{"gone", m.Gone}, {"rejected", m.Rejected}} {
		if len(list.seqs) > 0 {
			fmt.Fprintf(out, " %s %v", list.name, list.seqs)
		}
	}
	if m.Acknowledged != 0 {
		fmt.Fprintf(out, " acknowledged %d", m.Acknowledged)
	}
	out.WriteString("\n")
}

// loads prints endpoints' loads.
func loads(all []store.Load) string {
	var out strings.Builder
	for _, l := range all {
		fmt.Fprintf(&out, " %s=%d", l.Endpoint, l.InFlight)
	}
	return out.String()
}

// ready prints what there is to do.
func (s *script) ready() string {
	var out strings.Builder
	r := s.core.Ready(s.now)
	for _, d := range r.Decisions {
		fmt.Fprintf(&out, "decided %v: %v", d.Tag, d.Outcome)
		if d.Endpoint != "" {
			fmt.Fprintf(&out, ", least loaded %s with %d", d.Endpoint, d.EndpointInFlight)
		}
		out.WriteString("\n")
	}
	for i := range r.Messages {
		said(&out, &r.Messages[i])
	}
	for _, m := range r.Moves {
		fmt.Fprintf(&out, "moved %d shards and %d tickets in %v: joined %v, left %v\n", m.Shards, m.Tickets, m.Took, m.Joined, m.Left)
	}
	if r.Loads != nil {
		fmt.Fprintf(&out, "others' loads:%s\n", loads(r.Loads))
	}
	if r.Turn != nil {
		s.turn = r.Turn
		fmt.Fprintf(&out, "turn %d:", r.Turn.Number)
		for _, flag := range []struct {
			set  bool
			name string
		}{{r.Turn.Register, "register"}, {r.Turn.Resync, "resync"}, {r.Turn.Alone, "alone"}} {
			if flag.set {
				out.WriteString(" " + flag.name)
			}
		}
		if r.Turn.Register && r.Turn.Members > 1 {
			fmt.Fprintf(&out, " members %d", r.Turn.Members)
		}
		for _, b := range r.Turn.Bands {
			fmt.Fprintf(&out, " band %d limit %d in flight %d queued %d;", b.Priority, b.Limit, b.InFlight, b.Queued)
		}
		for _, id := range r.Turn.Withdrawn {
			fmt.Fprintf(&out, " withdraw %s", ticket(id))
		}
		for _, o := range r.Turn.Offers {
			fmt.Fprintf(&out, " offer %s/%s@%s", o.Flow, ticket(o.Ticket), strconv.FormatFloat(o.Rank, 'g', -1, 64))
			if o.Idle {
				out.WriteString("(idle)")
			}
		}
		if len(r.Turn.Loads) > 0 {
			out.WriteString(" loads" + loads(r.Turn.Loads))
		}
		fmt.Fprintf(&out, " standing %d\n", r.Turn.Standing)
	}
	if out.Len() == 0 {
		return fmt.Sprintf("nothing until +%v\n", r.Next.Sub(s.began))
	}
	return out.String()
}
