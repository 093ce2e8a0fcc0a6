package envoy_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newProcessor is a processor before a pool of one endpoint, at which nothing listens, and the
// pool's controller. There is nothing else that would take a goroutine or time.
func newProcessor(t testing.TB, cfg gateway.Config, byEnvoy envoy.Config, options ...controller.Option) (*envoy.Processor, *controller.Controller) {
	t.Helper()
	c, err := controller.NewController(memory.New(memory.Config{}), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p := gateway.NewPool(gateway.PoolConfig{Controller: c, Endpoints: endpoints.Config{Source: endpoints.Static{endpoints.At("", "http", "127.0.0.1", "1")}}})
	t.Cleanup(p.Close)
	return envoy.New(gateway.New(cfg, gateway.Only(p)), byEnvoy), c
}
