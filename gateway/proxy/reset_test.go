package proxy_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/internal/rig"
)

// TestStreamsResetWhileTheyCome has clients of HTTP/2 give up while the bodies of their requests
// come in, some just as the request ends: what the server has of a stream is gone once its request
// is over, and whoever touches it then ends the process.
func TestStreamsResetWhileTheyCome(t *testing.T) {
	r := rig.New(t, 8, rig.ModelServer(t))
	server := httptest.NewUnstartedServer(r.Server.Config.Handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	client := server.Client()
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			for n := range 100 {
				ctx, giveUp := context.WithCancel(t.Context())
				body, come := io.Pipe()
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/completions", body)
				if err != nil {
					t.Error(err)
				}
				req.Header.Set("Content-Type", "application/json")
				go func() {
					_, _ = io.WriteString(come, `{"model":"m","prompt":"hi`)
					time.Sleep(time.Duration(n%10) * 100 * time.Microsecond)
					giveUp()
					_ = come.Close()
				}()
				if res, err := client.Do(req); err == nil {
					_ = res.Body.Close()
				}
				giveUp()
			}
		})
	}
	clients.Wait()
	r.NothingHeld(t)
}
