package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/weirflow/weir/internal/redistest"
)

// process is a replica in a process of its own, connected by ticket streams.
type process struct {
	b   *testing.B
	in  io.WriteCloser
	out *json.Decoder
}

// startProcesses starts n replicas that know each other.
func startProcesses(b *testing.B, n int) []*process {
	b.Helper()
	server := redistest.Start(b)
	var all []*process
	var first string
	for i := range n {
		text, err := json.Marshal(setting{ID: fmt.Sprint("r", i), Redis: server.URL(), Join: first, Replicas: n})
		if err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), replicaVariable+"="+string(text))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		p := &process{b: b, in: in, out: json.NewDecoder(out)}
		b.Cleanup(func() {
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				b.Error(err)
			}
		})
		if address := p.hear().Gossip; first == "" {
			first = address
		}
		all = append(all, p)
	}
	for _, p := range all {
		p.say("meet")
	}
	for _, p := range all {
		p.hear()
	}
	return all
}

func (p *process) say(what string) {
	if _, err := fmt.Fprintln(p.in, what); err != nil {
		p.b.Fatal(err)
	}
}

func (p *process) hear() (r report) {
	if err := p.out.Decode(&r); err != nil {
		p.b.Fatal(err)
	}
	return r
}

// BenchmarkFleetGrants: three processes, capacity not binding, 256 callers at
// each over 64 flows that all three have, so that two of three tickets go to
// another process. It takes 10 s.
func BenchmarkFleetGrants(b *testing.B) {
	ps := startProcesses(b, 3)
	for _, p := range ps {
		p.say("grants")
	}
	var rate, grants, turns float64
	for _, p := range ps {
		r := p.hear()
		rate += float64(r.Grants) / r.Took
		grants += float64(r.Grants)
		turns += float64(r.Turns)
	}
	b.ReportMetric(rate, "grants/s")
	b.ReportMetric(turns/grants, "turns/grant")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFleetLatency: one request at a time in a fleet of three processes, in
// turn of a flow that is queued where it came in and of one that is not.
func BenchmarkFleetLatency(b *testing.B) {
	ps := startProcesses(b, 3)
	ps[0].say("latency")
	r := ps[0].hear()
	at := func(waits []float64, percent int) float64 { return waits[len(waits)*percent/100] }
	b.ReportMetric(at(r.Here, 50), "here-p50-ms")
	b.ReportMetric(at(r.Elsewhere, 50), "elsewhere-p50-ms")
	b.ReportMetric(at(r.Here, 99), "here-p99-ms")
	b.ReportMetric(at(r.Elsewhere, 99), "elsewhere-p99-ms")
	b.ReportMetric(0, "ns/op")
}
