// Package gateway is where requests come in: by an HTTP reverse proxy for the OpenAI API,
// or by Envoy's external processing. Either asks the flow controller before a request
// goes on.
//
//	client ─> proxy ─────┐                                   ┌─> model server
//	                     ├─> session ─ EnqueueAndWait, Take ─┤
//	Envoy ══> stream ────┘   (one life of a request)         └─> Envoy forwards
//	              <─ answer, streamed chunk by chunk, usage read on the way ─┘
//
// A session is one request's life under flow control: whose it is, what it may cost, its
// slot of the pool's limit and its slot at an endpoint, what it was charged. Whatever it
// holds comes back at its end, once, however it ends; the proxy and the stream only
// drive it by what HTTP and Envoy say.
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
// The package also has the admin address. Model servers, their health and
// load are package endpoints.
package gateway
