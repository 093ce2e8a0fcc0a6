package modelserver

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Config describes a simulated server.
type Config struct {
	// Model is the name of the model it serves.
	Model string
	// Engine is whose names its metrics have: one of Engines; vLLM's by default.
	Engine string
	// MaxRunning is the number of sequences in a batch; more wait.
	MaxRunning int
	// Step is the time of one step with an empty batch, StepPerSequence what
	// each sequence adds to it. Every step makes one token for each sequence.
	Step, StepPerSequence time.Duration
	// PrefillPerToken is what a prompt token adds to the first step of its
	// sequence.
	PrefillPerToken time.Duration
	// CacheTokens is the number of tokens, prompts and answers together, that
	// the KV cache holds.
	CacheTokens int
	// OutputTokens is the length of an answer whose request sets no maximum.
	OutputTokens int
	// InFlight is called with +1 and -1 as requests come and go; may be nil.
	InFlight func(delta int)
}

// DefaultConfig is a small server: about 100 tokens a second for each of 8
// sequences.
func DefaultConfig() Config {
	return Config{
		Model: "simulated", Engine: "vllm", MaxRunning: 8,
		Step: 6 * time.Millisecond, StepPerSequence: 500 * time.Microsecond, PrefillPerToken: 20 * time.Microsecond,
		CacheTokens: 100_000, OutputTokens: 64,
	}
}

// Validate reports the first field that is out of range, by the flag of weir modelserver
// that sets it.
func (c Config) Validate() error {
	switch {
	case c.Model == "":
		return errors.New("--model: must not be empty")
	case metricNames[c.Engine] == metrics{}:
		return fmt.Errorf("--engine %q: must be one of %s", c.Engine, strings.Join(Engines(), ", "))
	case c.MaxRunning < 1 || c.MaxRunning > 100_000:
		return fmt.Errorf(`--max-running "%d": must be from 1 to 100000`, c.MaxRunning)
	case c.Step <= 0:
		return fmt.Errorf(`--step "%v": must be above 0s`, c.Step)
	case c.StepPerSequence < 0:
		return fmt.Errorf(`--step-per-sequence "%v": must not be negative`, c.StepPerSequence)
	case c.PrefillPerToken < 0:
		return fmt.Errorf(`--prefill-per-token "%v": must not be negative`, c.PrefillPerToken)
	case c.CacheTokens < maxTokens:
		return fmt.Errorf(`--cache-tokens "%d": must be at least %d, which one request may need`, c.CacheTokens, maxTokens)
	case c.OutputTokens < 1 || c.OutputTokens > maxTokens/2:
		return fmt.Errorf(`--output-tokens "%d": must be from 1 to %d`, c.OutputTokens, maxTokens/2)
	}
	return nil
}

// maxTokens bounds the prompt and answer of one request together.
const maxTokens = 32_768
