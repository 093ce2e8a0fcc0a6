package gateway

import (
	"sync"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/modelapi"
)

// pace is what a second of a slot costs at this pool: the tokens of requests whose servers
// count them, over the time they took. By it, requests are charged whose tokens nobody
// counts. It is safe for concurrent use.
type pace struct {
	mu                     sync.Mutex
	input, output, seconds float64 // sums that fade
}

// fade is what a request's part in the sums loses by each later one: they are about those of
// the last 200.
const fade = 0.995

func newPace() *pace { return &pace{input: 200, output: 50, seconds: 1} } // until it is known

// learn takes in what a request cost that held its slot so long.
func (p *pace) learn(u controller.Usage, held time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.input = p.input*fade + float64(u.InputTokens)
	p.output = p.output*fade + float64(u.OutputTokens)
	p.seconds = p.seconds*fade + held.Seconds()
}

// price is the cost of a slot for so long.
func (p *pace) price(held time.Duration) controller.Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	part := held.Seconds() / max(p.seconds, 1e-3)
	return controller.Usage{
		InputTokens: int64(min(p.input*part, modelapi.MaxTokens)) + 1, OutputTokens: int64(min(p.output*part, modelapi.MaxTokens)) + 1, Known: true,
	}
}
