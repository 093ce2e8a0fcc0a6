package core_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/eviction"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// run carries out one command. It goes to the replica "me", or to another with
// at=NAME, and prints what that replica then has to do.
func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	a := args{t, d}
	r := s.find(a.text("at", "me"))
	if r == nil {
		d.Fatalf(t, "no such replica: %s", a.text("at", "me"))
	}
	var before string // what is printed of others
	switch d.Cmd {
	// The requests.
	case "enqueue":
		// Requests of a flow come in, numbered from seq to to.
		//
		// enqueue flow=a seq=1 [to=3] [priority=0] [input=10] [output=10] [traced]
		from := a.int("seq", 0)
		for n := from; n <= a.int("to", from); n++ {
			r.core.Enqueue(s.now, core.Request{
				Seq: uint64(n), Tag: n, Flow: policies.FlowKey{ID: a.text("flow", ""), Priority: a.int("priority", 0)},
				InputTokens: int64(a.int("input", 0)), OutputTokens: int64(a.int("output", 0)), Traced: d.HasArg("traced"),
			})
		}
	case "cancel":
		// The client of a waiting request goes away.
		//
		// cancel seq=1
		r.core.Cancel(s.now, uint64(a.int("seq", 0)), core.EvictedContextCancelled, core.ErrContextCancelled)
	case "place":
		// A dispatched request went to an endpoint.
		//
		// place seq=1 endpoint=x
		r.core.Place(uint64(a.int("seq", 0)), a.text("endpoint", ""))
	case "progress":
		// A dispatched request has cost so many tokens so far.
		//
		// progress seq=1 output=100 [input=10]
		r.core.Progress(uint64(a.int("seq", 0)), a.usage())
	case "release":
		// A dispatched request ended; without tokens the server did not say.
		//
		// release seq=1 [input=10] [output=100]
		r.core.Release(s.now, uint64(a.int("seq", 0)), a.usage())

	// The pool and the configuration.
	case "pool":
		// The pool has so many endpoints and takes so many requests.
		//
		// pool [endpoints=1] [limit=1]
		r.core.SetPool(s.now, core.Pool{Endpoints: a.int("endpoints", 1), Limit: int64(a.int("limit", 1))})
	case "endpoints":
		// A request may go to these endpoints, which take so many.
		//
		// endpoints x y=2 z
		r.core.SetEndpoints(s.now, a.endpoints())
	case "reconfigure":
		// The configuration changes: the fairness policy, the cap of waiting
		// requests of a band, whether negative bands may be revoked.
		//
		// reconfigure [fairness=vtc] [max=6] [evict]
		s.reconfigure(a)
		r.core.Reconfigure(s.now, s.config(r.id))
	case "limits":
		// A flow gets limits of its own here, or loses them.
		//
		// limits flow=a [inflight=2] [tokens=600] [reject]
		s.limits[a.text("flow", "")] = shard.Limit{
			MaxInFlight: int64(a.int("inflight", 0)), TokensPerMinute: float64(a.int("tokens", 0)), Reject: d.HasArg("reject"),
		}
		r.core.Reconfigure(s.now, s.config(r.id))
	case "guarantee":
		// A priority or a group is guaranteed a part of the pool. A flow whose id begins with
		// the group's name, before a slash, is in it.
		//
		// guarantee priority=-1 percent=50
		// guarantee group=acme percent=50
		part := float64(a.int("percent", 0)) / 100
		if group := a.text("group", ""); group != "" {
			s.floors[group] = part
		} else {
			s.guaranteed[a.int("priority", 0)] = part
		}
		r.core.Reconfigure(s.now, s.config(r.id))

	case "maximum":
		// A group may have so many requests in flight.
		//
		// maximum group=acme requests=2
		s.maxima[a.text("group", "")] = shard.Maximum{Requests: int64(a.int("requests", 0))}
		r.core.Reconfigure(s.now, s.config(r.id))
	case "weigh":
		// A priority shares the pool with others by that weight; 0 for one that goes strictly.
		//
		// weigh priority=1 weight=3
		s.weights[a.int("priority", 0)] = float64(a.int("weight", 0))
		r.core.Reconfigure(s.now, s.config(r.id))

	// Time and the ledger.
	case "advance":
		// Time passes at all replicas.
		//
		// advance 25ms
		took, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		s.now = s.now.Add(took)
		for _, other := range s.replicas {
			other.core.Tick(s.now)
			if other != r {
				before += s.ready(other)
			}
		}
	case "ledger":
		// The turn under way reaches the ledger, and its reply comes back.
		//
		// ledger [at=b]
		reply, err := s.take(t, r)
		if err == nil && reply.Status != store.OK {
			before = "status " + reply.Status.String() + "\n"
		}
		r.core.TurnDone(s.now, reply, err)
	case "lost":
		// The turn reaches the ledger, and its reply is lost.
		//
		// lost
		if _, err := s.take(t, r); err != nil {
			d.Fatalf(t, "%v", err)
		}
		r.core.TurnDone(s.now, nil, store.ErrUnavailable)
	case "fail":
		// The turn does not reach the ledger.
		//
		// fail
		s.end(t, r)
		r.core.TurnDone(s.now, nil, store.ErrUnavailable)
	case "wipe":
		// The ledger forgets everything.
		//
		// wipe
		s.ledger.Wipe()
	case "wake":
		// A wake-up comes with a grant that another replica's turn left; without
		// arguments, those that the ledger has sent to this one.
		//
		// wake [registered=1 number=2 flow=a seq=1]
		s.wake(r, a)
	case "leave":
		// The next turn shall be the last.
		//
		// leave
		r.core.Leave()

	// The other replicas.
	case "in-fleet":
		// The core begins anew and waits to be told who lives.
		//
		// in-fleet
		s.cfg.InFleet = true
		s.cfg.Timings.HolderKnownAfter = core.DefaultTimings(s.cfg.Timings.Lease).HolderKnownAfter
		r = s.start(t, "me")
	case "newcomer":
		// The core begins anew, and others have yet to hear of it.
		//
		// newcomer
		s.cfg.Timings.HolderKnownAfter = core.DefaultTimings(s.cfg.Timings.Lease).HolderKnownAfter
		r = s.start(t, "me")
	case "join":
		// A second core begins, which shares the ledger and the pool's limit. The two are
		// told of each other, and what they send waits until it is delivered.
		//
		// join b [limit=1]
		return s.join(t, a.words()[0], int64(a.int("limit", 1)))
	case "members":
		// These live beside this replica. The ledger has given them all a lease, but for
		// strangers. The process of one that ended is known to have.
		//
		// members b c stranger:d ended:e
		m := coordinator.Members{Live: []coordinator.Member{{ID: r.id, Incarnation: 1, Leaseholder: true}}}
		for _, id := range a.words() {
			if id, ended := strings.CutPrefix(id, "ended:"); ended {
				m.Ended = append(m.Ended, coordinator.Run{ID: id, Incarnation: 1})
				continue
			}
			id, stranger := strings.CutPrefix(id, "stranger:")
			m.Live = append(m.Live, coordinator.Member{ID: id, Incarnation: 1, Leaseholder: !stranger})
		}
		r.core.SetMembers(s.now, m)
	case "stream":
		// Messages to and from another replica pass, or no longer.
		//
		// stream b up|down
		r.core.SetStream(s.now, a.words()[0], a.words()[1] == "up")
	case "receive":
		// A message comes from a replica that is no core of the script.
		//
		// receive b number=1 queued=(flow/seq,...) gone=(seq,...) rejected=(seq,...) unserved=(seq,...) declined=(seq,...) acknowledged=1 full resync leaving lost
		r.core.Receive(s.now, a.message())
	case "deliver":
		// The messages on their way between the cores arrive, and those that answer
		// them, until none is left.
		//
		// deliver
		return s.deliver()
	case "drop":
		// The messages on their way between the cores are lost.
		//
		// drop
		s.network = nil
	case "retire":
		// This replica shall own nothing any more.
		//
		// retire
		r.core.Retire(s.now)
	default:
		d.Fatalf(t, "no such command: %s", d.Cmd)
	}
	return before + s.ready(r)
}

func (s *script) reconfigure(a args) {
	s.band.MaxRequests = int64(a.int("max", int(s.band.MaxRequests)))
	if a.text("fairness", "") == "vtc" {
		vtc, err := fairness.NewVTC("vtc", fairness.VTCParameters{InputTokenWeight: 1, OutputTokenWeight: 2})
		if err != nil {
			a.d.Fatalf(a.t, "%v", err)
		}
		s.band.Fairness = vtc
	}
	if a.d.HasArg("evict") {
		s.cfg.Eviction = &core.Eviction{Filter: eviction.NewSheddable("filter"), Order: eviction.NewPriorityThenTime("order")}
	}
}

func (s *script) join(t *testing.T, id string, limit int64) (out string) {
	r := s.start(t, id)
	r.core.SetPool(s.now, core.Pool{Endpoints: 1, Limit: limit})
	for _, one := range s.replicas {
		var m coordinator.Members
		for _, other := range s.replicas {
			m.Live = append(m.Live, coordinator.Member{ID: other.id, Incarnation: 1, Leaseholder: true})
		}
		one.core.SetMembers(s.now, m)
		for _, other := range s.replicas {
			one.core.SetStream(s.now, other.id, true)
		}
		out += s.ready(one)
	}
	return out
}

func (s *script) wake(r *replica, a args) {
	if !a.d.HasArg("number") {
		for len(r.wakeups) > 0 {
			w := <-r.wakeups
			r.core.Wake(s.now, &w)
		}
		return
	}
	r.core.Wake(s.now, &store.Wakeup{
		Incarnation: 1, Registered: uint64(a.int("registered", 0)),
		Messages: []store.Message{{
			Number: uint64(a.int("number", 0)), Kind: store.Granted | store.Taken, Flow: a.text("flow", ""), Charge: 1,
			Ticket: policies.TicketID{Ingress: r.id, Seq: uint64(a.int("seq", 0))},
		}},
	})
}

// deliver passes messages on, oldest first.
func (s *script) deliver() (out string) {
	for len(s.network) > 0 {
		m := s.network[0]
		s.network = s.network[1:]
		to := s.find(m.To)
		to.core.Receive(s.now, &m)
		out += s.ready(to)
	}
	return out
}

// args are a command's.
type args struct {
	t *testing.T
	d *datadriven.TestData
}

func (a args) int(key string, otherwise int) int {
	if a.d.HasArg(key) {
		a.d.ScanArgs(a.t, key, &otherwise)
	}
	return otherwise
}

func (a args) text(key, otherwise string) string {
	if a.d.HasArg(key) {
		a.d.ScanArgs(a.t, key, &otherwise)
	}
	return otherwise
}

// words are the arguments without values.
func (a args) words() (words []string) {
	for _, arg := range a.d.CmdArgs {
		if len(arg.Vals) == 0 {
			words = append(words, arg.Key)
		}
	}
	return words
}

func (a args) endpoints() (list []core.Endpoint) {
	for _, arg := range a.d.CmdArgs {
		if arg.Key != "at" {
			e := core.Endpoint{Address: arg.Key}
			if len(arg.Vals) > 0 {
				e.Capacity = int64(a.int(arg.Key, 0))
			}
			list = append(list, e)
		}
	}
	return list
}

func (a args) usage() core.Usage {
	return core.Usage{
		InputTokens: int64(a.int("input", 0)), OutputTokens: int64(a.int("output", 0)),
		Known: a.d.HasArg("input") || a.d.HasArg("output"),
	}
}

// message is what a receive command describes.
func (a args) message() *coordinator.Message {
	from := a.d.CmdArgs[0].Key
	m := &coordinator.Message{
		From: from, Incarnation: 1, To: a.text("at", "me"), ToIncarnation: 1,
		Full: a.d.HasArg("full"), Resync: a.d.HasArg("resync"), Leaving: a.d.HasArg("leaving"), LedgerLost: a.d.HasArg("lost"),
	}
	number := func(text string) uint64 {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			a.d.Fatalf(a.t, "%v", err)
		}
		return n
	}
	for _, arg := range a.d.CmdArgs[1:] {
		for _, v := range arg.Vals {
			switch arg.Key {
			case "number":
				m.Number = number(v)
			case "acknowledged":
				m.Acknowledged = number(v)
			case "gone":
				m.Gone = append(m.Gone, number(v))
			case "rejected":
				m.Rejected = append(m.Rejected, number(v))
			case "cause":
				m.Refusals = append(m.Refusals, shard.Refusal{Cause: shard.Cause(number(v))})
			case "unserved":
				m.Unserved = append(m.Unserved, number(v))
			case "declined":
				m.Declined = append(m.Declined, number(v))
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
