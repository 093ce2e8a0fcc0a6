package proxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/internal/rig"
)

// BenchmarkProxy measures what the gateway adds to a request of 4 kB, going to
// the server directly and through the gateway, alternately.
func BenchmarkProxy(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	}))
	b.Cleanup(upstream.Close)
	r := rig.New(b, 100, upstream.URL)
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 4000) + `"}]}`
	ask := func(url string) time.Duration {
		began := time.Now()
		res, err := r.Client.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return time.Since(began)
	}
	var direct, through []time.Duration
	for range b.N {
		direct = append(direct, ask(upstream.URL))
		through = append(through, ask(r.URL))
	}
	slices.Sort(direct)
	slices.Sort(through)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(direct[len(direct)/2]), "direct-p50-ms")
	b.ReportMetric(ms(through[len(through)/2]), "through-p50-ms")
	b.ReportMetric(ms(through[len(through)/2]-direct[len(direct)/2]), "added-p50-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkStream measures the throughput of a streamed answer of 1,000 chunks.
func BenchmarkStream(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 1000 {
			_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"word "}}]}`+"\n\n")
			_ = http.NewResponseController(w).Flush()
		}
	}))
	b.Cleanup(upstream.Close)
	r := rig.New(b, 100, upstream.URL)
	for name, url := range map[string]string{"direct": upstream.URL, "through": r.URL} {
		b.Run(name, func(b *testing.B) {
			began := time.Now()
			for range b.N {
				res, err := r.Client.Post(url+"/v1/completions", "application/json", strings.NewReader(rig.Chat))
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			b.ReportMetric(float64(b.N)*1000/time.Since(began).Seconds(), "chunks/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
