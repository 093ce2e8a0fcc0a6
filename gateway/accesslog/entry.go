package accesslog

import (
	"encoding/json"
	"strconv"
	"time"
)

// Entry is a request that is over. Fields that are empty are left out of its line.
type Entry struct {
	// Arrived is when it came, and Duration how long it was until its answer had ended.
	Arrived  time.Time
	Duration time.Duration
	// ID is its name, and Trace the id of the trace that its client has it in.
	ID, Trace string

	Tenant, Objective, Model string
	Priority                 int
	Method, Path             string

	// Replica has the client's connection, Owner the queue that the request waited in, and
	// Endpoint is the model server.
	Replica, Owner, Endpoint string

	// Queued is set if it came to flow control. It waited there for so long, and WaitedFor
	// is what stood in its way when it came.
	Queued    bool
	Waited    time.Duration
	WaitedFor string
	// FirstToken is how long after its arrival the first part of an answer came; 0 if none
	// did.
	FirstToken time.Duration

	// Counted is set if the tokens are known: of the prompt, of it in a cache, and of the
	// answer.
	Counted                           bool
	TokensIn, TokensCached, TokensOut int64
	// Charge is what it was charged when it was dispatched, in the unit of its band's policy.
	Charge float64

	// Status is the answer's. Reason is why the gateway ended it, by its error code; empty
	// for one that a model server answered to its end.
	Status int
	Reason string
}

// append adds the entry's line.
func (e *Entry) append(to []byte) []byte {
	l := line(to)
	l = append(l, `{"time":"`...)
	l = e.Arrived.UTC().AppendFormat(l, "2006-01-02T15:04:05.000000Z")
	l = append(l, '"')
	l.text("id", e.ID)
	l.text("trace", e.Trace)
	l.text("tenant", e.Tenant)
	l.whole("priority", int64(e.Priority))
	l.text("objective", e.Objective)
	l.text("model", e.Model)
	l.text("method", e.Method)
	l.text("path", e.Path)
	l.text("replica", e.Replica)
	l.text("owner", e.Owner)
	l.text("endpoint", e.Endpoint)
	if e.Queued {
		l.milliseconds("waited_ms", e.Waited)
		l.text("waited_for", e.WaitedFor)
	}
	if e.FirstToken > 0 {
		l.milliseconds("first_token_ms", e.FirstToken)
	}
	l.milliseconds("duration_ms", e.Duration)
	if e.Counted {
		l.whole("tokens_in", e.TokensIn)
		l.whole("tokens_cached", e.TokensCached)
		l.whole("tokens_out", e.TokensOut)
	}
	if e.Charge != 0 {
		l.key("charge")
		l = strconv.AppendFloat(l, e.Charge, 'g', 6, 64)
	}
	l.whole("status", int64(e.Status))
	l.text("reason", e.Reason)
	return append(l, "}\n"...)
}

// line is the begin of a JSON object.
type line []byte

func (l *line) key(name string) {
	*l = append(*l, `,"`...)
	*l = append(*l, name...)
	*l = append(*l, `":`...)
}

func (l *line) whole(name string, n int64) {
	l.key(name)
	*l = strconv.AppendInt(*l, n, 10)
}

func (l *line) milliseconds(name string, d time.Duration) {
	l.key(name)
	*l = strconv.AppendFloat(*l, float64(d.Microseconds())/1000, 'f', -1, 64)
}

// text adds a member unless it is empty.
func (l *line) text(name, value string) {
	if value == "" {
		return
	}
	l.key(name)
	for _, c := range []byte(value) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(value) // a string always marshals
			*l = append(*l, quoted...)
			return
		}
	}
	*l = append(*l, '"')
	*l = append(*l, value...)
	*l = append(*l, '"')
}
