package coordinator

import "context"

// Questions lets a replica ask the others what they know, for operators. Nothing of flow
// control depends on it: questions and answers give way to tickets.
type Questions interface {
	// Ask puts a question to all live replicas but this one, and returns what became of it
	// at each, by their ids, once all have answered or ctx ends.
	Ask(ctx context.Context, question []byte) []Answer
	// AnswerWith sets what answers the others' questions. It may be called from any
	// goroutine, and its ctx ends when the answer is not waited for any more.
	AnswerWith(func(ctx context.Context, question []byte) ([]byte, error))
}

// Answer is what became of a question at one replica.
type Answer struct {
	Replica string
	// Body is the answer, which is another replica's word: input to be checked.
	Body []byte
	// Err is why there is none.
	Err error
}
