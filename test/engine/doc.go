// Package engine has real model servers for tests: llama.cpp's, with a model of random
// weights. What they say makes no sense, but batching, streams, counts of tokens and metrics
// are the engine's own. make engine builds the server.
package engine
