// Package gateway is where requests come in: an HTTP reverse proxy for the
// OpenAI API that asks the flow controller before it forwards.
//
//	client ─> Gateway ─ parse ─ EnqueueAndWait ─ pick endpoint ─> model server
//	              <─ answer, streamed chunk by chunk, usage read on the way ─┘
//	              └─ Release, exactly once, however the request ends
//
// It also has the admin endpoints and the metrics.
package gateway
