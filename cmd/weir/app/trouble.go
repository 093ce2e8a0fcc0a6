package app

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
)

// longEnough is of how much time, in milliseconds, shares say something.
const longEnough = 20_000

// judge finds what is wrong with the fleet.
func (v *overview) judge(endpoints []api.Endpoint) {
	wrong := func(format string, args ...any) { v.Trouble = append(v.Trouble, plain(fmt.Sprintf(format, args...))) }
	switch state := v.Pool.Ledger.State; state {
	case "connected":
	case "outage":
		wrong("outage: the ledger is out of reach, and replicas go on within their shares of the limit")
	default:
		wrong("the ledger is %s", state)
	}
	switch limit := v.Pool.Limit; {
	case v.Pool.Endpoints == 0:
		wrong("no model server can be used: %s", unused(v.Pool))
	case limit != nil && *limit == 0:
		wrong("the pool takes nothing: every model server counts as full")
	}
	if code, part := v.failing(); code != "" {
		wrong("%s of the requests fail at model servers, most of them with %s: weir_endpoint_errors_total says which, the log why", percent(part), code)
	}
	for i := range endpoints {
		if e := &endpoints[i]; !e.Healthy {
			wrong("model server %s is ejected: it cannot be reached by %s", e.Name, strings.Join(e.EjectedBy, ", "))
		}
	}
	v.judgePickers(wrong)
	named := make(map[string]bool) // as missing, before
	for _, m := range v.Pool.Fleet.Missing {
		named[m.Replica] = true
	}
	for i := range v.Replicas {
		switch r := &v.Replicas[i]; {
		case r.OtherLedger != nil:
			wrong("replica %s keeps another ledger: pool %s, prefix %s", r.ID, r.OtherLedger.Pool, r.OtherLedger.Prefix)
		case r.Lost != nil:
			wrong("replica %s is lost: %s of it may still run, for %.0f s at most", r.ID, plural(r.Lost.InFlight, "request"), r.Lost.Seconds)
		case !r.Answered && !r.Leaving && !named[r.ID]:
			wrong("replica %s does not answer", r.ID)
		case len(r.Differs) > 0:
			wrong("replica %s has other settings: %s", r.ID, strings.Join(r.Differs, ", "))
		}
		if refused := v.Replicas[i].Refused; refused != nil {
			wrong("replica %s: since %s %s", v.Replicas[i].ID, refused.At.Local().Format(time.TimeOnly), refused.Why)
		}
	}
	known := 0
	for i := range v.Replicas {
		if v.Replicas[i].OtherLedger == nil {
			known++
		}
	}
	if counted := v.Pool.Ledger.Members; counted > known {
		wrong("the ledger counts %d replicas and this one knows %d, which is all that is shown here: each needs --join with the addresses of others", counted, known)
	}
}

// judgePickers finds pickers that cannot be asked, by whom and why.
func (v *overview) judgePickers(wrong func(format string, args ...any)) {
	for i := range v.Pickers {
		p := &v.Pickers[i]
		what, bad := map[string]string{"probing": "answers nobody", "silent": "answers nobody", "unreachable": "cannot be used"}[p.State]
		if !bad {
			continue
		}
		var by []string
		for _, at := range p.Replicas {
			if at.State == p.State {
				by = append(by, at.Replica)
			}
		}
		why := ""
		if p.Error != "" && p.ErrorAt != nil {
			why = fmt.Sprintf("; its last error, at %s: %s", p.ErrorAt.Local().Format(time.TimeOnly), p.Error)
		}
		wrong("picker %s %s, says %s%s", p.Address, what, strings.Join(by, ", "), why)
	}
}

// tooMany is of how many requests, as a part of all, model servers may fail before it is told.
const tooMany = 0.01

// failing is what part of the requests of late, of all that were sent, a model server had and
// failed, and how most of these ended; nothing where hardly any did.
func (v *overview) failing() (code string, part float64) {
	failed := 0.0
	for _, r := range v.Pool.Refusals { // the most first
		switch r.Code {
		case "upstream_failed", "upstream_timeout", "upstream_unreachable":
			code = cmp.Or(code, r.Code)
			failed += r.PerSecond
		}
	}
	part = failed / max(v.Pool.Recent.Dispatched, failed)
	if code == "" || part <= tooMany || v.Pool.Recent.SpanMS < longEnough/4 {
		return "", 0
	}
	return code, part
}

// judgeTenants finds those that wait for a limit of their own, or get much less than their
// share.
func (v *overview) judgeTenants(flows []api.Flow) {
	for i := range flows {
		f := &flows[i]
		text := ""
		switch {
		case f.Queued == 0:
		case f.AtLimit:
			text = "is at its own limit" + ownLimit(f.Limit)
		case f.AtMaximum != "":
			text = fmt.Sprintf("is in the group %q, which is at its maximum", f.AtMaximum)
		case f.Recent.SpanMS >= longEnough && f.Entitled > 0.01 && f.Share < f.Entitled/2:
			text = fmt.Sprintf("gets %s of its priority, and should get %s", percent(f.Share), percent(f.Entitled))
		}
		if text != "" && len(v.Tenants) < maxTenants {
			v.Tenants = append(v.Tenants, plain(fmt.Sprintf("%s, priority %d: %s; it %s", f.ID, f.Priority, waiting(f.Queued), text)))
		}
	}
}

// ownLimit is a flow's own limit in words.
func ownLimit(l *api.FlowLimit) string {
	var parts []string
	if l != nil && l.MaxInFlight > 0 {
		parts = append(parts, fmt.Sprintf("%d in flight", l.MaxInFlight))
	}
	if l != nil && l.TokensPerMinute > 0 {
		parts = append(parts, fmt.Sprintf("%.0f tokens a minute", l.TokensPerMinute))
	}
	if len(parts) == 0 {
		return ""
	}
	return " of " + strings.Join(parts, " and ")
}

// unused says why no model server of a pool can be used.
func unused(p *api.Pool) string {
	switch {
	case p.EndpointsEjected+p.EndpointsDrained == 0:
		return "the pool has none"
	case p.EndpointsEjected == 0:
		return fmt.Sprintf("%d drained by an operator (weir overrides)", p.EndpointsDrained)
	case p.EndpointsDrained == 0:
		return fmt.Sprintf("%d ejected", p.EndpointsEjected)
	}
	return fmt.Sprintf("%d ejected, %d drained by an operator (weir overrides)", p.EndpointsEjected, p.EndpointsDrained)
}
