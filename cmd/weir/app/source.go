package app

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"k8s.io/klog/v2"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/endpoints/kubernetes"
)

// endpointSource is where the configuration says that endpoints come from. What
// Kubernetes says of objectives goes to the holder.
func endpointSource(w *config.Weir, objectives *objectives, log *zap.Logger) (endpoints.Source, error) {
	d := &w.Discovery
	switch {
	case d.File != "":
		return &endpoints.File{Path: d.File, Once: d.Once, Logger: log}, nil
	case d.DNS != "":
		source, err := endpoints.NewDNS(d.DNS)
		if err != nil {
			return nil, fmt.Errorf("weir.discovery.dns: %w", err)
		}
		source.Every, source.Logger = time.Duration(*d.DNSInterval), log
		return source, nil
	case d.InferencePool != "":
		return inferencePool(d, objectives, log)
	}
	urls := make([]string, 0, len(w.Endpoints))
	for _, e := range w.Endpoints {
		urls = append(urls, e.URL)
	}
	source, err := endpoints.NewStatic(urls...)
	if err != nil {
		return nil, fmt.Errorf("--upstream: %w", err)
	}
	return source, nil
}

func inferencePool(d *config.Discovery, objectives *objectives, log *zap.Logger) (endpoints.Source, error) {
	rest, err := kubernetes.Connect(d.Kubeconfig)
	if err != nil {
		return nil, err
	}
	klog.SetLogger(zapr.NewLogger(log.WithOptions(zap.IncreaseLevel(zap.WarnLevel))))
	namespace, name, _ := strings.Cut(d.InferencePool, "/")
	return kubernetes.New(kubernetes.Config{
		Namespace: namespace, Name: name, REST: rest, Objectives: objectives.set, Logger: log,
	})
}

// objectives are the priorities that Kubernetes' InferenceObjectives say.
type objectives struct {
	byName atomic.Pointer[map[string]int]
}

func (o *objectives) set(byName map[string]int) { o.byName.Store(&byName) }

// priority is a request's: as the objective that it names says, there or in the
// configuration, or as its flow's entry does.
func (o *objectives) priority(flows *config.Flows, flow, objective string) int {
	if all := o.byName.Load(); all != nil {
		if p, known := (*all)[objective]; known {
			return p
		}
	}
	return flows.Priority(flow, objective)
}
