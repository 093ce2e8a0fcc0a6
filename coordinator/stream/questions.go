package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/stream/ticketpb"
)

// asking is the first protocol version that has questions.
const asking = 4

// Bounds on questions, so that none of them costs what tickets need.
const (
	// maxQuestion and maxAnswer bound a question and an answer, in bytes.
	maxQuestion, maxAnswer = 4 << 10, 16 << 20
	// partBytes is how much of an answer goes between two tickets at most.
	partBytes = 32 << 10
	// maxAsked is how many questions of one replica are answered at a time.
	maxAsked = 16
	// maxPatience is how long an answer is worked on.
	maxPatience = 5 * time.Second
	maxReason   = 512
)

var (
	errNoStream = errors.New("there is no stream to it")
	errTooOld   = errors.New("it runs a version that answers no questions")
	errTooLong  = fmt.Errorf("%w: an answer of more than %d bytes", ErrMalformed, maxAnswer)
)

// questions are those that one stream carries, either way.
type questions struct {
	out chan *ticketpb.Message // questions, and parts of answers
	// answering has a place for each question that is being answered.
	answering chan struct{}
	running   sync.WaitGroup

	mu     sync.Mutex
	ended  bool
	number uint64
	asked  map[uint64]*asked // without their answers
}

// end waits until nothing is being answered any more; the stream's context has ended.
func (q *questions) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.running.Wait()
}

// begin runs something until end, unless that was called.
func (q *questions) begin(do func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		q.running.Go(do)
	}
}

// asked is a question whose answer is waited for.
type asked struct {
	body []byte
	done chan error
}

func newQuestions() *questions {
	return &questions{out: make(chan *ticketpb.Message), answering: make(chan struct{}, maxAsked), asked: make(map[uint64]*asked)}
}

// AnswerWith implements coordinator.Questions.
func (s *Streams) AnswerWith(answer func(ctx context.Context, question []byte) ([]byte, error)) {
	s.answer.Store(&answer)
}

// Ask implements coordinator.Questions.
func (s *Streams) Ask(ctx context.Context, question []byte) []coordinator.Answer {
	s.mu.Lock()
	var answers []coordinator.Answer
	var conns []*conn
	for id := range s.members {
		if id != s.cfg.Replica {
			answers = append(answers, coordinator.Answer{Replica: id})
		}
	}
	slices.SortFunc(answers, func(a, b coordinator.Answer) int { return cmp.Compare(a.Replica, b.Replica) })
	for i := range answers {
		conns = append(conns, s.conns[answers[i].Replica])
	}
	s.mu.Unlock()
	var asking sync.WaitGroup
	for i := range answers {
		asking.Go(func() { answers[i].Body, answers[i].Err = conns[i].ask(ctx, question) })
	}
	asking.Wait()
	return answers
}

// ask puts a question to the other end, and waits for its answer.
func (c *conn) ask(ctx context.Context, question []byte) ([]byte, error) {
	switch {
	case c == nil:
		return nil, errNoStream
	case c.version < asking:
		return nil, errTooOld
	}
	q := c.questions
	a := &asked{done: make(chan error, 1)}
	q.mu.Lock()
	q.number++
	number := q.number
	q.asked[number] = a
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		delete(q.asked, number)
		q.mu.Unlock()
	}()
	patience := maxPatience
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline))
	}
	m := &ticketpb.Message{Question: &ticketpb.Question{Number: number, Body: question, Patience: int64(patience)}}
	select {
	case q.out <- m:
	case <-c.ctx.Done():
		return nil, errNoStream
	case <-ctx.Done():
		return nil, fmt.Errorf("it takes no question: %w", ctx.Err())
	}
	select {
	case err := <-a.done:
		return a.body, err
	case <-c.ctx.Done():
		return nil, errNoStream
	case <-ctx.Done():
		return nil, fmt.Errorf("it does not answer: %w", ctx.Err())
	}
}

// answered takes in a part of an answer. One that nobody waits for any more is dropped.
func (q *questions) answered(w *ticketpb.Answer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.asked[w.GetNumber()]
	if a == nil {
		return
	}
	var err error
	switch {
	case len(a.body)+len(w.GetPart()) > maxAnswer:
		err = errTooLong
	case w.GetError() != "":
		err = errors.New(w.GetError()[:min(len(w.GetError()), maxReason)])
	default:
		a.body = append(a.body, w.GetPart()...)
		if !w.GetLast() {
			return
		}
	}
	delete(q.asked, w.GetNumber())
	if err != nil {
		a.body = nil
	}
	a.done <- err
}

// answerTo answers a question of the other end, beside everything else.
func (s *Streams) answerTo(c *conn, w *ticketpb.Question) {
	q := c.questions
	select {
	case q.answering <- struct{}{}:
	default:
		return // it asks more than it may; this question's patience runs out
	}
	q.begin(func() {
		defer func() { <-q.answering }()
		ctx, cancel := context.WithTimeout(c.ctx, min(time.Duration(w.GetPatience()), maxPatience))
		defer cancel()
		body, err := s.replyTo(ctx, w.GetBody())
		for first := true; first || len(body) > 0; first = false {
			part := &ticketpb.Answer{Number: w.GetNumber(), Part: body[:min(len(body), partBytes)]}
			body = body[len(part.Part):]
			part.Last = len(body) == 0
			if err != nil {
				text := err.Error()
				part.Error = strings.ToValidUTF8(text[:min(len(text), maxReason)], "")
			}
			select {
			case q.out <- &ticketpb.Message{Answer: part}:
			case <-ctx.Done():
				return
			}
		}
	})
}

func (s *Streams) replyTo(ctx context.Context, question []byte) ([]byte, error) {
	answer := s.answer.Load()
	switch {
	case answer == nil:
		return nil, errors.New("it answers no questions")
	case len(question) > maxQuestion:
		return nil, fmt.Errorf("%w: a question of %d bytes", ErrMalformed, len(question))
	}
	body, err := (*answer)(ctx, question)
	if len(body) > maxAnswer {
		return nil, errTooLong
	}
	return body, err
}
