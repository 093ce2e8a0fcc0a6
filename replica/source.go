package replica

import (
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/endpoints/kubernetes"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/rewrites"
)

// endpointSource is where the configuration says that endpoints come from. What
// Kubernetes says of objectives and of models goes to the tables.
func (r *replica) endpointSource(plan *config.Plan, table *flows.Objectives, models *rewrites.Table, log *zap.Logger) (endpoints.Source, error) {
	d := &plan.File.Weir.Discovery
	namespace, name, _ := strings.Cut(d.InferencePool, "/")
	switch {
	case plan.Found():
		return r.discovery.pools.Source(namespace, name, table.Set, models.Set), nil
	case d.File != "":
		return &endpoints.File{Path: d.File, Once: d.Once, Logger: log}, nil
	case d.DNS != "":
		source, err := endpoints.NewDNS(d.DNS)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", plan.Name("weir.discovery.dns"), err)
		}
		source.Every, source.Logger = time.Duration(*d.DNSInterval), log
		return source, nil
	case d.InferencePool != "":
		to, err := connect(d, log)
		if err != nil {
			return nil, err
		}
		return kubernetes.New(kubernetes.Config{
			Namespace: namespace, Name: name, REST: to, Objectives: table.Set, Rewrites: models.Set, Logger: log,
		})
	}
	urls := make([]string, 0, len(plan.File.Weir.Endpoints))
	for _, e := range plan.File.Weir.Endpoints {
		urls = append(urls, e.URL)
	}
	source, err := endpoints.NewStatic(urls...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", plan.Name("weir.endpoints"), err)
	}
	return source, nil
}
