package main

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/endpoints"
)

// endpointSource is where the configuration says that endpoints come from.
func endpointSource(w *config.Weir, log *zap.Logger) (endpoints.Source, error) {
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
