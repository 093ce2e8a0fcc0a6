package stream

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// TestQuestions asks another replica, either way of a stream, for answers of all sizes.
func TestQuestions(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	introduce(a, b)
	<-a.up
	<-b.up
	echo := func(_ context.Context, question []byte) ([]byte, error) { return question, nil }
	long := bytes.Repeat([]byte("long"), partBytes)
	for _, c := range []struct {
		name   string
		answer func(context.Context, []byte) ([]byte, error)
		ask    string
		want   string
		err    string
	}{
		{"echo", echo, "how are you?", "how are you?", ""},
		{"an empty answer", func(context.Context, []byte) ([]byte, error) { return nil, nil }, "x", "", ""},
		{"in parts", func(context.Context, []byte) ([]byte, error) { return long, nil }, "x", string(long), ""},
		{"refused", func(context.Context, []byte) ([]byte, error) { return nil, errors.New("I do not know\xff") }, "x", "", "I do not know"},
		{"too long a question", echo, strings.Repeat("x", maxQuestion+1), "", "a question of 4097 bytes"},
		{"too long an answer", func(context.Context, []byte) ([]byte, error) { return make([]byte, maxAnswer+1), nil }, "x", "", "an answer of more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ends := range [][2]*end{{a, b}, {b, a}} {
				ends[1].AnswerWith(c.answer)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				answers := ends[0].Ask(ctx, []byte(c.ask))
				cancel()
				if len(answers) != 1 || answers[0].Replica != ends[1].cfg.Replica {
					t.Fatalf("answers %v, want one of %s", answers, ends[1].cfg.Replica)
				}
				got := answers[0]
				if string(got.Body) != c.want || (got.Err != nil) != (c.err != "") || got.Err != nil && !strings.Contains(got.Err.Error(), c.err) {
					t.Errorf("%d bytes and %v, want %d bytes and %q", len(got.Body), got.Err, len(c.want), c.err)
				}
			}
		})
	}
}

// TestQuestionsWithoutAnswer asks those who do not answer: each is named, in time.
func TestQuestionsWithoutAnswer(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	introduce(a, b)
	<-a.up
	<-b.up
	ended, asked := make(chan struct{}), make(chan struct{})
	b.AnswerWith(func(ctx context.Context, _ []byte) ([]byte, error) {
		<-ctx.Done()
		close(ended)
		<-asked // it says nothing before a has stopped waiting
		return nil, ctx.Err()
	})
	c := coordinator.Member{ID: "c", Incarnation: 1, Address: "127.0.0.1:1"}
	a.SetMembers([]coordinator.Member{a.member(), b.member(), c})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	answers := a.Ask(ctx, []byte("?"))
	close(asked)
	if len(answers) != 2 || !errors.Is(answers[0].Err, context.DeadlineExceeded) || !errors.Is(answers[1].Err, errNoStream) {
		t.Errorf("answers %v, want one that timed out and one without a stream", answers)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("it took %v, want 1 s", took)
	}
	<-ended // the answer is not worked on any longer
	old := &conn{version: asking - 1}
	if _, err := old.ask(ctx, nil); !errors.Is(err, errTooOld) {
		t.Errorf("a replica of an earlier version: %v", err)
	}
}

// TestTicketsGoFirst has a question answered at length while tickets pass.
func TestTicketsGoFirst(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	introduce(a, b)
	<-a.up
	<-b.up
	// Many parts, and few enough for a machine that has little time: what is not sent after
	// maxPatience is given up.
	const length = 32 * partBytes
	b.AnswerWith(func(context.Context, []byte) ([]byte, error) { return make([]byte, length), nil })
	asked := make(chan []coordinator.Answer)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { asked <- a.Ask(ctx, []byte("all of it")) }()
	for n := uint64(1); n <= 50; n++ {
		b.Send(coordinator.Message{To: "a", ToIncarnation: 7, Number: n, Queued: []shard.Ticket{{
			ID: policies.TicketID{Ingress: "b", Seq: n}, Flow: policies.FlowKey{ID: "f"},
		}}})
		if m := <-a.messages; m.Number != n || len(m.Queued) != 1 {
			t.Fatalf("message %d came as %+v", n, m)
		}
	}
	if answers := <-asked; answers[0].Err != nil || len(answers[0].Body) != length {
		t.Errorf("%d bytes, %v; want all of them", len(answers[0].Body), answers[0].Err)
	}
}
