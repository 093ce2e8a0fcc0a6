package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/endpoints"
)

// endpoints checks where model servers come from: one place.
func (b *builder) endpoints() {
	b.placeOfEndpoints()
	b.endpointList()
	b.discovery()
}

// placeOfEndpoints wants model servers to come from one place.
func (b *builder) placeOfEndpoints() {
	w, d := &b.file.Weir, &b.file.Weir.Discovery
	var given []string
	for path, named := range map[string]bool{
		"weir.endpoints": len(w.Endpoints) > 0, "weir.discovery.file": d.File != "",
		"weir.discovery.dns": d.DNS != "", "weir.discovery.inferencePool": d.InferencePool != "",
	} {
		if named {
			given = append(given, path)
		}
	}
	slices.Sort(given)
	switch len(given) {
	case 0:
		if b.overlay == nil && b.several() {
			break // its pools have theirs
		}
		const path = "weir.endpoints"
		if b.options.Unlocated && b.overlay == nil {
			b.warn(path, "the file does not say where the model servers are; tell weir serve, such as by --inference-pool NAMESPACE/NAME or --upstream URL")
			break
		}
		b.wrong(path, "name at least one model server, such as http://127.0.0.1:8000, or where they come from: %s, %s or %s",
			b.called("weir.discovery.file", path), b.called("weir.discovery.dns", path), b.called("weir.discovery.inferencePool", path))
	case 1:
	default:
		last := given[len(given)-1]
		var names []string
		for _, path := range given {
			names = append(names, b.called(path, last))
		}
		b.wrong(last, "endpoints come from one place: keep one of %s", strings.Join(names, ", "))
	}
}

// endpointList checks the model servers that the file lists.
func (b *builder) endpointList() {
	seen := make(map[string]bool)
	for i, e := range b.file.Weir.Endpoints {
		path := indexed("weir.endpoints", i) + ".url"
		u, err := endpoints.ParseURL(e.URL)
		switch {
		case err != nil:
			b.wrong(path, "%s", after(err, endpoints.ErrSpec, e.URL))
		case seen[u.Host]:
			b.wrong(path, "this model server is named above")
		default:
			seen[u.Host] = true
		}
	}
}

// discovery checks where else they come from.
func (b *builder) discovery() {
	d := &b.file.Weir.Discovery
	if d.File != "" && b.files {
		if err := (&endpoints.File{Path: d.File}).Check(); err != nil {
			b.wrong("weir.discovery.file", "%s", fileError(err))
		}
	}
	if d.DNS != "" {
		if _, err := endpoints.NewDNS(d.DNS); err != nil {
			b.wrong("weir.discovery.dns", "%s", after(err, endpoints.ErrSpec, d.DNS))
		}
	}
	if d.InferencePool != "" {
		b.object("weir.discovery.inferencePool", d.InferencePool)
	}
	b.kubeconfig("weir.discovery.kubeconfig", d.Kubeconfig)
	if *d.DNSInterval < Duration(100*time.Millisecond) {
		b.wrong("weir.discovery.dnsInterval", "must be at least 100ms")
	}
}

// after is an error without the class and the value that it begins with, which the
// problem names itself.
func after(err, class error, value string) string {
	return strings.TrimPrefix(err.Error(), fmt.Sprintf("%v: %q: ", class, value))
}
