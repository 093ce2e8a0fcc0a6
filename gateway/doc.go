// Package gateway is the life of one request under flow control, whichever way it comes, and
// the pools that requests are for.
//
//	client ─> proxy.Proxy ─────┐                                   ┌─> model server
//	                           ├─> Session ─ EnqueueAndWait, Take ─┤
//	Envoy ══> envoy.Processor ─┘                                   └─> Envoy forwards
//	              <─ answer, streamed chunk by chunk, usage read on the way ─┘
//
// A [Session] is whose a request is, what it may cost, its slot of the pool's limit and its
// slot at an endpoint, what it was charged. Whatever it holds comes back at its end, once,
// however it ends. It has parts, each in a file of its name: its [Body], its [Placement] at
// endpoints, its [Answer], a [Watch] over the time that each step may take, and its [Record],
// which is what is told of it. The doors, packages proxy and envoy, only drive it by what HTTP
// and Envoy say.
//
// A request has these forms on its way, each for one border:
//
//   - modelapi.Request is what was read of it: the body, the model, the estimate of its
//     tokens. It goes no further.
//   - controller.Request is what flow control needs: its flow, its size, its estimated
//     cost, how long it may wait. Nothing of the body goes there.
//   - endpoints.Query is what the choice of an endpoint needs.
//   - controller.Usage is what it cost in the end, by which its charge is settled.
//
// # Packages below
//
// Doors, which import this package:
//
//	proxy, envoy      by HTTP, and by Envoy's external processing
//	admin             for operators: the API, the console, probes
//
// What a session stands on:
//
//	headers, modelapi what headers, bodies and answers say
//	flows             whose a request is, by which rules it goes, what its flow was served
//	endpoints         model servers, their health and load, which one a request goes to
//	picker            other Endpoint Pickers, for envoy
//	rewrites          which model is asked for in place of another
//	budget            the memory of requests
//	shadow            flow control that is only played
//	refusal           the gateway's own answers
//
// Who looks on:
//
//	metrics, tracing, accesslog, traffic, metering
//
// What operators set for a time is package overrides; listening, and ending without losing a
// request, package serving.
package gateway
