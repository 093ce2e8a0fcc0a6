// Package modelserver simulates a model server like vLLM, for trying things out
// and for tests: the OpenAI API with streaming, continuous batching, a KV cache
// that fills, and the metrics that a gateway reads.
//
//	request ─> waiting ─> running (at most MaxRunning, while the cache has room)
//	                         │ one token for each sequence a step;
//	                         ▼ a step takes longer the larger the batch
//	                      answer
package modelserver
