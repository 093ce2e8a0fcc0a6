package picker

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/status"
)

// State is how a picker stands at this replica.
type State string

// The states, the best first.
const (
	// InUse: it is connected, well as far as it says, and answers.
	InUse State = "in_use"
	// Quiet: it keeps requests waiting, and is asked only where no other can be.
	Quiet State = "quiet"
	// Probing: it answered nobody, and one request finds out whether it does again.
	Probing State = "probing"
	// Silent: it answered nobody, and is asked nothing for a while.
	Silent State = "silent"
	// NeverConnected: it was never connected since its name has its address, or never well, and another
	// of the name can be used.
	NeverConnected State = "never_connected"
	// Unreachable: it is not connected, or says that it is not well.
	Unreachable State = "unreachable"
)

// Status is what is known of a picker. Counts are since this replica's start.
type Status struct {
	// Address is its IP address and port, Name the host name and port that it is an address of; the
	// same where an IP address was given, and where a name has none.
	Address, Name string
	State         State
	// Streams are those open at it, Unanswered the requests put to it that it has not answered.
	Streams, Unanswered int
	// Asked counts the requests put to it, Failed those that it failed before it had answered, and
	// Ejected how often it was taken out of use.
	Asked, Failed, Ejected uint64
	// Answered is when it last answered; zero for never.
	Answered time.Time
	// Error is what last went wrong with it, and ErrorAt when; empty and zero for nothing.
	Error   string
	ErrorAt time.Time
}

// Status returns what is known of the pickers.
func (p *Pickers) Status() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, all := time.Now(), make([]Status, 0, len(p.all))
	for _, n := range p.names {
		if !slices.ContainsFunc(p.all, n.has) {
			all = append(all, Status{Address: n.hostPort, Name: n.hostPort, State: Unreachable, Error: errNoAddress.Error(), ErrorAt: now})
		}
	}
	for _, one := range p.all {
		all = append(all, Status{
			Address: one.address, Name: one.of.hostPort, State: p.state(one, now), Streams: one.streams, Unanswered: one.standing.open,
			Asked: one.asked, Failed: one.failed, Ejected: one.ejected, Answered: one.standing.heard, Error: one.problem, ErrorAt: one.problemAt,
		})
	}
	return all
}

func (p *Pickers) state(one *picker, now time.Time) State {
	switch {
	case !one.ready() && p.never(one):
		return NeverConnected
	case !one.ready():
		return Unreachable
	case one.standing.out && one.probe != nil:
		return Probing
	case one.standing.out:
		return Silent
	case one.quiet(now):
		return Quiet
	}
	return InUse
}

// wrong notes what went wrong with the picker: of an error of gRPC what it says, without its code.
func (p *picker) wrong(err error, now time.Time) {
	if err == nil {
		return
	}
	p.problem, p.problemAt = err.Error(), now
	if s, ok := status.FromError(err); ok && s.Message() != "" {
		p.problem = s.Message()
	}
}

// The metrics of a picker.
var (
	label       = []string{"picker"}
	usableDesc  = prometheus.NewDesc("weir_picker_usable", "Whether a picker can be used: it is connected, well as far as it says, and answers.", label, nil)
	neverDesc   = prometheus.NewDesc("weir_picker_never_connected", "1 for a picker that was never connected while another address of its name can be used; it is no picker that was lost.", label, nil)
	streamsDesc = prometheus.NewDesc("weir_picker_streams", "Streams that this replica has open at a picker, those for waiting requests included.", label, nil)
	askedDesc   = prometheus.NewDesc("weir_picker_requests_total", "Requests that were put to a picker.", label, nil)
	failedDesc  = prometheus.NewDesc("weir_picker_failures_total", "Requests that a picker was asked about, or should have been, and failed before it had answered: its stream broke, or it took too long.", label, nil)
	ejectedDesc = prometheus.NewDesc("weir_picker_ejections_total", "How often a picker was taken out of use because it answered nobody for too long, or broke streams and answered nobody.", label, nil)
)

// Describe implements prometheus.Collector.
func (p *Pickers) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{usableDesc, neverDesc, streamsDesc, askedDesc, failedDesc, ejectedDesc} {
		out <- d
	}
	p.unserved.Describe(out)
}

// Collect implements prometheus.Collector.
func (p *Pickers) Collect(out chan<- prometheus.Metric) {
	for _, s := range p.Status() {
		for desc, is := range map[*prometheus.Desc]bool{usableDesc: s.State == InUse || s.State == Quiet, neverDesc: s.State == NeverConnected} {
			value := 0.0
			if is {
				value = 1
			}
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, s.Address)
		}
		out <- prometheus.MustNewConstMetric(streamsDesc, prometheus.GaugeValue, float64(s.Streams), s.Address)
		out <- prometheus.MustNewConstMetric(askedDesc, prometheus.CounterValue, float64(s.Asked), s.Address)
		out <- prometheus.MustNewConstMetric(failedDesc, prometheus.CounterValue, float64(s.Failed), s.Address)
		out <- prometheus.MustNewConstMetric(ejectedDesc, prometheus.CounterValue, float64(s.Ejected), s.Address)
	}
	p.unserved.Collect(out)
}
