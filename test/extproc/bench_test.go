package extproc

import (
	"context"
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
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/picker"
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
	pool := gateway.NewPool(gateway.PoolConfig{Controller: c, Endpoints: endpoints.Config{Source: source, Profile: profile}})
	defer pool.Close()
	processor := envoy.New(gateway.New(gateway.Config{}, gateway.Only(pool)), envoy.Config{})
	client := extproc.NewExternalProcessorClient(dial(b, processor))
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
	return timed(stream, time.Now(), body, func() error {
		if err := stream.Send(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{EndOfStream: true}}}); err != nil {
			return err
		}
		_, err := stream.Recv()
		return err
	})
}

// released times a request until all of it is answered, and ends its stream.
func released(b *testing.B, client extproc.ExternalProcessorClient, body string) (time.Duration, error) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	began := time.Now()
	stream, err := client.Process(ctx)
	if err != nil {
		return 0, err
	}
	return timed(stream, began, body, stream.CloseSend)
}

// timed is the time since it began until all of a request is answered. The stream, which finish
// brings to its end, must not go on after that.
func timed(stream extproc.ExternalProcessor_ProcessClient, began time.Time, body string, finish func() error) (time.Duration, error) {
	request := post(whole(body))
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
	if err := finish(); err != nil {
		return 0, err
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("the stream goes on: %w", err)
	}
	return took, nil
}

// BenchmarkBeforePicker is what Weir adds to a picker behind it: the same exchange with a plain
// picker directly, and by Weir over a real Redis, unsaturated.
func BenchmarkBeforePicker(b *testing.B) {
	p := StartPicker(b, "127.0.0.1:0")
	p.To, p.Forgets = []string{"127.0.0.1:1"}, true
	conn, err := grpc.NewClient("passthrough:///"+p.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a benchmark
	ledger, err := redis.Open(b.Context(), redis.Config{URL: redistest.Start(b).URL()})
	if err != nil {
		b.Fatal(err)
	}
	defer ledger.Close() //nolint:errcheck // a benchmark
	c, err := controller.NewController(ledger, controller.WithLimit(100_000))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	pickers, err := picker.New(picker.Config{Addresses: []string{p.Address}})
	if err != nil {
		b.Fatal(err)
	}
	defer pickers.Close()
	if err := pickers.Await(b.Context()); err != nil {
		b.Fatal(err)
	}
	source := endpoints.Static{endpoints.At("", "http", "127.0.0.1", "1")} // nothing listens there
	pool := gateway.NewPool(gateway.PoolConfig{Controller: c, Endpoints: endpoints.Config{Source: source}})
	defer pool.Close()
	processor := envoy.New(gateway.New(gateway.Config{}, gateway.Only(pool)), envoy.Config{Delegation: &envoy.Delegation{Pickers: pickers}})
	alone, behind := extproc.NewExternalProcessorClient(conn), extproc.NewExternalProcessorClient(dial(b, processor))
	body := strings.Replace(chat, "hi", strings.Repeat("x", 4000), 1)
	for b.Loop() {
		var waits [2][]time.Duration // in turn, so that both meet the same load of the machine
		for range 2000 {
			for i, client := range []extproc.ExternalProcessorClient{alone, behind} {
				took, err := released(b, client, body)
				if err != nil {
					b.Fatal(err)
				}
				waits[i] = append(waits[i], took)
			}
		}
		for i := range waits {
			slices.Sort(waits[i])
		}
		half := len(waits[0]) / 2
		b.ReportMetric(waits[0][half].Seconds()*1000, "alone-p50-ms")
		b.ReportMetric(waits[1][half].Seconds()*1000, "behind-p50-ms")
		b.ReportMetric((waits[1][half]-waits[0][half]).Seconds()*1000, "added-p50-ms")
		b.ReportMetric((waits[1][half*19/10]-waits[0][half*19/10]).Seconds()*1000, "added-p95-ms")
	}
}
