package extproc

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/policies/scheduling"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/redis"
)

// BenchmarkAdded is what external processing adds to a request with a body of 4 kB,
// unsaturated, over a real Redis, with eight endpoints to choose from: from its headers
// to the answer that lets it go, with driver, replica and Redis on the same machine.
func BenchmarkAdded(b *testing.B) {
	var all endpoints.Profile
	plugins := policies.NewSet(builtin.Registry())
	for _, typ := range []string{scheduling.QueueType, scheduling.KVCacheType, scheduling.PrefixCacheType, scheduling.RunningRequestsType} {
		s, err := plugins.Scorer(typ)
		if err != nil {
			b.Fatal(err)
		}
		all.Scorers = append(all.Scorers, endpoints.Weighted{EndpointScorer: s, Weight: 2})
	}
	all.Picker = endpoints.LeastLoaded().Picker
	b.Run("profile=least-loaded", func(b *testing.B) { benchmarkAdded(b, endpoints.LeastLoaded()) })
	b.Run("profile=four-scorers", func(b *testing.B) { benchmarkAdded(b, all) })
}

func benchmarkAdded(b *testing.B, profile endpoints.Profile) {
	server := redistest.Start(b)
	ledger, err := redis.Open(b.Context(), redis.Config{URL: server.URL()})
	if err != nil {
		b.Fatal(err)
	}
	defer ledger.Close() //nolint:errcheck // a benchmark
	detector, err := saturation.NewConcurrency("d", saturation.ConcurrencyParameters{MaxConcurrency: 100_000})
	if err != nil {
		b.Fatal(err)
	}
	c, err := controller.NewController(ledger, controller.WithSaturationDetector(detector),
		controller.WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin("rr")}))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var source endpoints.Static // nothing listens there
	for n := range 8 {
		source = append(source, endpoints.At("", "http", "127.0.0.1", fmt.Sprint(n+1)))
	}
	g := gateway.New(gateway.Config{Controller: c, Endpoints: endpoints.Config{Source: source, Profile: profile}})
	defer g.Close()
	client := extproc.NewExternalProcessorClient(dial(b, g))
	if _, err := added(b, client, chat); err != nil { // the ledger grants once it has recovered
		b.Fatal(err)
	}
	body := strings.Replace(chat, "hi", strings.Repeat("x", 4000), 1)
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			var left atomic.Int64
			left.Store(int64(b.N))
			var mu sync.Mutex
			var waits []time.Duration
			var wg sync.WaitGroup
			began := time.Now()
			for range callers {
				wg.Go(func() {
					var own []time.Duration
					for left.Add(-1) >= 0 {
						took, err := added(b, client, body)
						if err != nil {
							b.Error(err)
							return
						}
						own = append(own, took)
					}
					mu.Lock()
					waits = append(waits, own...)
					mu.Unlock()
				})
			}
			wg.Wait()
			slices.Sort(waits)
			b.ReportMetric(float64(len(waits))/time.Since(began).Seconds(), "req/s")
			b.ReportMetric(waits[len(waits)/2].Seconds()*1000, "p50-ms")
			b.ReportMetric(waits[len(waits)*95/100].Seconds()*1000, "p95-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// added makes one whole exchange and times its request.
func added(b *testing.B, client extproc.ExternalProcessorClient, body string) (time.Duration, error) {
	stream, err := client.Process(b.Context())
	if err != nil {
		return 0, err
	}
	request := post(whole(body))
	began := time.Now()
	for _, m := range request.messages() {
		if err := stream.Send(m); err != nil {
			return 0, err
		}
	}
	for range 2 { // headers and body
		m, err := stream.Recv()
		if err != nil || m.GetImmediateResponse() != nil {
			return 0, fmt.Errorf("%v: %w", m, err)
		}
	}
	took := time.Since(began)
	if err := stream.Send(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{EndOfStream: true}}}); err != nil {
		return 0, err
	}
	if _, err := stream.Recv(); err != nil {
		return 0, err
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("the stream goes on: %w", err)
	}
	return took, nil
}
