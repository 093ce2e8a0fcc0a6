package replica_test

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weirflow/weir/test/extproc"
)

// TestLargeHeaders wants a token of 40 kB to pass by both doors where headers may be as large, and
// nowhere else.
func TestLargeHeaders(t *testing.T) {
	t.Parallel()
	token := "Bearer " + strings.Repeat("x", 40_000)
	for most, want := range map[string]int{"": http.StatusRequestHeaderFieldsTooLarge, "64Ki": http.StatusOK} {
		r := start(t, "", map[string]string{"max-header-bytes": most, "ext-proc": "127.0.0.1:0"})
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/completions", strings.NewReader(`{"model":"m","prompt":"hi"}`))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", token)
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("--max-header-bytes %q, by HTTP: status %d, want %d", most, res.StatusCode, want)
		}
		conn, err := grpc.NewClient("passthrough:///"+r.processing(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		envoy := extproc.New(conn)
		answer, err := envoy.Do(t.Context(), extproc.Request{
			Method: http.MethodPost, Path: "/v1/completions", Headers: map[string]string{"authorization": token}, Body: [][]byte{[]byte(`{"model":"m","prompt":"hi"}`)},
		})
		if err != nil || answer.Status != want {
			t.Errorf("--max-header-bytes %q, by Envoy: %+v, %v; want status %d", most, answer, err, want)
		}
		envoy.Close()
		_ = conn.Close() // at the end
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
}
