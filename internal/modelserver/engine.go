package modelserver

import (
	"sync"
	"time"
)

// engine batches sequences continuously.
type engine struct {
	cfg Config

	mu      sync.Mutex
	waiting []*sequence
	running []*sequence
	cache   int // tokens that the running sequences need
	looping bool
}

// sequence is one request in the engine.
type sequence struct {
	prompt, output int
	tokens         chan int // numbers of the tokens made, closed after the last
	made           int
	gone           bool // its client went away
}

// submit queues a sequence.
func (e *engine) submit(prompt, output int) *sequence {
	s := &sequence{prompt: prompt, output: output, tokens: make(chan int, output)}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = append(e.waiting, s)
	if !e.looping {
		e.looping = true
		go e.loop() // ends when no sequence is left
	}
	return s
}

// abandon takes a sequence out at the next step.
func (e *engine) abandon(s *sequence) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.gone = true
}

// loop steps while there is work, and ends when there is none.
func (e *engine) loop() {
	for {
		took, work := e.begin()
		if !work {
			return
		}
		time.Sleep(took)
		e.finish()
	}
}

// begin admits sequences to the batch and returns how long its step takes.
func (e *engine) begin() (took time.Duration, work bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep()
	took = e.cfg.Step
	for len(e.waiting) > 0 && len(e.running) < e.cfg.MaxRunning {
		s := e.waiting[0]
		if e.cache+s.prompt+s.output > e.cfg.CacheTokens {
			break
		}
		e.waiting = e.waiting[1:]
		e.running = append(e.running, s)
		e.cache += s.prompt + s.output
		took += time.Duration(s.prompt) * e.cfg.PrefillPerToken
	}
	took += time.Duration(len(e.running)) * e.cfg.StepPerSequence
	e.looping = len(e.running) > 0
	return took, e.looping
}

// finish gives every running sequence its token.
func (e *engine) finish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.running {
		s.tokens <- s.made
		s.made++
	}
	e.sweep()
}

// sweep takes out the sequences that are done or abandoned.
func (e *engine) sweep() {
	kept := e.running[:0]
	for _, s := range e.running {
		if !s.gone && s.made < s.output {
			kept = append(kept, s)
			continue
		}
		e.cache -= s.prompt + s.output
		close(s.tokens)
	}
	clear(e.running[len(kept):])
	e.running = kept
	waiting := e.waiting[:0]
	for _, s := range e.waiting {
		if s.gone {
			close(s.tokens)
			continue
		}
		waiting = append(waiting, s)
	}
	clear(e.waiting[len(waiting):])
	e.waiting = waiting
}

// load returns the numbers of running and waiting sequences and the share of
// the cache in use.
func (e *engine) load() (running, waiting int, cache float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.running), len(e.waiting), float64(e.cache) / float64(e.cfg.CacheTokens)
}
