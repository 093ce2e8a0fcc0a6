// Package extproc plays Envoy's side of external processing, message by message, as
// Envoy's documentation of FULL_DUPLEX_STREAMED defines it, and is strict about what
// it is answered.
//
//	client's request ──> Driver ── headers, body, trailers ──> external processor
//	                       │  <── headers with the endpoint, body, trailers ──
//	                       ├── the request, as it came back ──> model server
//	                       └── its response, the same way back
package extproc
