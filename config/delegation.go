package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/internal/suggest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/scheduling"
)

// processingAddress is where Envoy's external processing is served if it is only said what
// for.
const processingAddress = "127.0.0.1:9002"

// delegates reports whether another Endpoint Picker chooses endpoints.
func (a *assembly) delegates() bool { return len(a.file.Weir.ExtProc.Picker.Addresses) > 0 }

// elsewhere reports whether this replica chooses no endpoint of what comes by external
// processing, so that what a file says of scheduling is not for it.
func (a *assembly) elsewhere() bool { return a.delegates() || a.file.Weir.ExtProc.AdmissionOnly }

// delegation checks who chooses endpoints.
func (b *builder) delegation(x *ExtProc) {
	const path = "weir.extProc.picker"
	p := &x.Picker
	if b.elsewhere() && x.Listen == "" {
		x.Listen = processingAddress
	}
	if b.delegates() && x.AdmissionOnly {
		b.wrong("weir.extProc.admissionOnly", "%s names a picker, too; keep one of them", b.called(path+".addresses", "weir.extProc.admissionOnly"))
	}
	for i, address := range p.Addresses {
		b.remote(indexed(path+".addresses", i), address)
		if slices.Index(p.Addresses, address) < i {
			b.wrong(indexed(path+".addresses", i), "this picker is named above")
		}
	}
	secure := false
	for _, s := range []struct {
		name  string
		given bool
	}{{"tls", p.TLS}, {"ca", p.CA != ""}, {"cert", p.Cert != ""}, {"key", p.Key != ""}, {"serverName", p.ServerName != ""}, {"insecureSkipVerify", p.InsecureSkipVerify}} {
		secure = secure || s.given
		if s.given && !b.delegates() {
			b.wrong(path+"."+s.name, "there is no picker; give %s, too", b.called(path+".addresses", path+"."+s.name))
		}
	}
	p.TLS = secure // what is said of it asks for it
	b.authority(path+".ca", p.CA)
	b.host(path+".serverName", p.ServerName)
	b.keyPair(path+".cert", path+".key", p.Cert, p.Key)
	for name, given := range map[string]bool{"failOpen": p.FailOpen, "timeout": p.Timeout != nil} {
		if given && !b.delegates() {
			b.wrong(path+"."+name, "there is no picker; give %s, too", b.called(path+".addresses", path+"."+name))
		}
	}
	if p.Timeout != nil && (time.Duration(*p.Timeout) < 10*time.Millisecond || time.Duration(*p.Timeout) > time.Hour) {
		b.wrong(path+".timeout", "must be from 10ms to 1h")
	}
}

// isFlowControl reports whether a plug-in of a type is for flow control, or for what it needs
// of the endpoints, and not for scheduling.
func (a *assembly) isFlowControl(typ string) bool {
	switch typ {
	case "":
		return true // which is an error, whoever reads it
	case scheduling.ApproxPrefixType, scheduling.PrecisePrefixType, scheduling.ByLabelFilterType:
		return false
	}
	if slices.Contains(theirs, typ) {
		return false
	}
	if !slices.Contains(a.registry.Types(), typ) {
		reads := []string{endpoints.FileDiscoveryType, endpoints.MetricsDataSourceType, endpoints.CoreMetricsExtractorType}
		known := slices.DeleteFunc(a.registry.Types(), func(t string) bool { return slices.Contains(reads, t) || !a.isFlowControl(t) })
		return suggest.Closest(typ, known) != "" // it is likely to be misspelt
	}
	plugin, err := a.registry.New(typ, "", nil)
	if err != nil {
		return true // it needs parameters, as no scorer and no picker does
	}
	switch plugin.(type) {
	case policies.EndpointFilter, policies.EndpointScorer, policies.EndpointPicker, policies.StageDecider, scheduling.ProfileHandler:
		return false
	}
	return true
}

// leave leaves a plug-in to whoever chooses endpoints, if it is for that.
func (a *assembly) leave(name, typ string) bool {
	if !a.elsewhere() || a.isFlowControl(typ) {
		return false
	}
	a.left[name] = true
	if !slices.Contains(a.leftTypes, typ) {
		a.leftTypes = append(a.leftTypes, typ)
	}
	return true
}

// tellLeft names once what is left to whoever chooses endpoints.
func (a *assembly) tellLeft() {
	var what []string
	if len(a.leftTypes) > 0 {
		what = append(what, fmt.Sprintf("plug-ins of the types %s", strings.Join(a.leftTypes, ", ")))
	}
	if len(a.file.SchedulingProfiles) > 0 {
		what = append(what, "schedulingProfiles")
	}
	if len(what) == 0 {
		return
	}
	whose := "the picker's"
	if !a.delegates() {
		whose = "for whoever chooses endpoints"
	}
	a.warn("plugins", "%s are %s: they have no effect here", strings.Join(what, " and "), whose)
}
