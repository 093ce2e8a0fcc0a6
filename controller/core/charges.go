package core

import (
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// charges is what this replica's requests are charged: by what they were expected to cost
// when they went, and by what they turn out to since.
type charges struct {
	cfg         *Config
	exchange    *exchange
	queues      *queues
	settlements *settlements
}

// byItself charges a request that this replica lets go by itself. What the ledger has its
// flow's counter at is not known, but for how far the others have come.
func (ch *charges) byItself(r *request, policy string, charge float64) {
	r.policy, r.group, r.charge = policy, ch.cfg.Shard.GroupOf(r.Flow), charge
	r.counter, r.service = ch.queues.set.VirtualTime(r.Flow.Priority, r.group), ch.service(r, charge)
}

// service is what a request is for the groups that its flow is in, where it is charged so
// much: it does not depend on what the flow weighs, and is 1 where the policy charges nothing.
func (ch *charges) service(r *request, charge float64) float64 {
	if r.group == "" {
		return 0
	}
	return ch.cfg.Shard.Service(r.Flow, charge)
}

// byTokens reports whether what a request costs in tokens is of any use: its policy charges by
// something, or its flow has so many a minute.
func (ch *charges) byTokens(r *request) bool {
	return r.charge > 0 || ch.cfg.Shard.LimitOf(r.Flow.ID).TokensPerMinute > 0
}

// progress charges a request in flight for what it has cost so far, where that is more than
// it was charged: tokens say nothing of the time that it has held its slot, see holding.
func (ch *charges) progress(r *request, usage Usage) {
	if !ch.byTokens(r) {
		return
	}
	usage.InputTokens, usage.OutputTokens = max(usage.InputTokens, r.InputTokens), max(usage.OutputTokens, r.OutputTokens)
	least := 0.0
	if !r.began.IsZero() {
		least = r.charge
	}
	ch.reckon(r, usage, least)
}

// ended charges a request for what it cost in the end. One that is charged by time cost what
// that says, whatever is known of its tokens.
func (ch *charges) ended(r *request, usage Usage, byTime bool) {
	if byTime && !usage.Known {
		usage = Usage{InputTokens: r.InputTokens, OutputTokens: r.OutputTokens, Known: true}
	}
	if usage.Known && ch.byTokens(r) {
		ch.reckon(r, usage, 0)
	}
}

// perMinute is what so many tokens take of the flow's tokens per minute.
func (ch *charges) perMinute(flow string, tokens int64) float64 {
	if ch.cfg.Shard.LimitOf(flow).TokensPerMinute > 0 {
		return float64(tokens)
	}
	return 0
}

// reckon charges a request by its tokens, and no less than the least, and takes them of its flow's
// per minute.
func (ch *charges) reckon(r *request, usage Usage, least float64) {
	tokens := ch.perMinute(r.Flow.ID, usage.InputTokens+usage.OutputTokens-r.InputTokens-r.OutputTokens)
	r.InputTokens, r.OutputTokens = usage.InputTokens, usage.OutputTokens
	ch.correct(r, max(least, ch.cfg.Shard.Charge(&r.Ticket)), tokens)
}

// correct settles the difference between what a request was charged and what it costs, and
// takes tokens of its flow's per minute. Where its band has another policy now, or had at the owner that
// it waited at, that counts something else: what was charged stands.
func (ch *charges) correct(r *request, charge, tokens float64) {
	// The flow may weigh something else now than when it was charged: what its groups are
	// charged goes by what it weighed each time.
	service := ch.service(r, charge)
	if r.policy != ch.queues.set.Policy(r.Flow.Priority) {
		charge, service = r.charge, r.service
	}
	delta, more := charge-r.charge, service-r.service
	if delta == 0 && more == 0 && tokens == 0 {
		return
	}
	switch {
	case !r.own:
		ch.settlements.settle(r.account(), delta, more, r.counter, tokens)
	case ch.exchange.outage:
		ch.queues.set.ChargedInOutage(r.Flow, delta, more)
	}
	r.charge, r.service, r.counter = charge, service, r.counter+delta
}

// expected charges a request that took a ticket ahead of it what it is expected to cost itself.
func (ch *charges) expected(r *request) {
	if r.charge > 0 && r.seq != r.ID.Seq {
		ch.correct(r, ch.cfg.Shard.Charge(&r.Ticket), 0)
	}
}

// giveBack returns the charge of a request that does not go by it, and what that took of its flow's tokens
// per minute.
func (ch *charges) giveBack(r *request, tokens float64) {
	if r.charge != 0 || r.service != 0 || tokens != 0 {
		ch.settlements.settle(r.account(), -r.charge, -r.service, r.counter, -tokens)
	}
	r.charge, r.service = 0, 0
}

// refund returns the charge of a grant, or of a place in line, that no request uses.
func (ch *charges) refund(m *store.Message) {
	if m.Charge != 0 || m.Service != 0 {
		key := policies.FlowKey{ID: m.Flow, Priority: m.Priority}
		ch.settlements.settle(account{key, m.Policy, m.Group}, -m.Charge, -m.Service, m.Counter, 0)
	}
}
