// Package gateway is where requests come in: by an HTTP reverse proxy for the OpenAI API,
// or by Envoy's external processing. Either asks the flow controller before a request
// goes on.
//
//	client ─> Gateway ─ parse ─ EnqueueAndWait ─ endpoints.Take ─> model server
//	              <─ answer, streamed chunk by chunk, usage read on the way ─┘
//	              └─ Release, exactly once, however the request ends
//
//	Envoy ══> ExtProc ─ the same, but Envoy holds the connections and forwards
//
// It also has the admin address and the metrics. Which model servers there are and how
// they do is package endpoints.
package gateway
