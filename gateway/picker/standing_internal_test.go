package picker

import (
	"testing"
	"time"
)

// TestStanding wants a silent picker's pauses to grow up to a bound, and an answer to end that.
func TestStanding(t *testing.T) {
	now := time.Unix(1000, 0)
	var s standing
	s.asked(now)
	if asked := now; !s.silent(asked) || s.quiet(now) {
		t.Error("a picker that was just asked has answered, or is quiet")
	}
	now = now.Add(quietAfter + 1)
	if !s.quiet(now) {
		t.Errorf("it is not quiet after %v", quietAfter)
	}
	for i, want := range []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
		if pause := s.takeOut(now); pause != want {
			t.Errorf("the pause is %v at the %d. time, want %v", pause, i+1, want)
		}
		if now = now.Add(want - 1); s.due(now) {
			t.Error("it is asked before its pause is over")
		}
		if now = now.Add(1); !s.due(now) {
			t.Error("it is not asked after its pause")
		}
	}
	s.closed()
	if again := s.answered(now); !again || s.out || s.due(now) || s.quiet(now) {
		t.Errorf("%+v after an answer", s)
	}
	if pause := s.takeOut(now.Add(1)); pause != firstPause {
		t.Errorf("the first pause after an answer is %v", pause)
	}
}

// TestQuiet wants a picker to be quiet by how long and by how many it has kept waiting since it
// last answered, and not by how many it has at a time.
func TestQuiet(t *testing.T) {
	now := time.Unix(1000, 0)
	var s standing
	for range quietQuestions - 1 {
		s.asked(now)
	}
	if s.quiet(now) {
		t.Error("it is quiet before it was asked often")
	}
	s.closed()
	s.answered(now)
	if s.asked(now); s.quiet(now) {
		t.Error("it is quiet though it answers")
	}
	for range quietQuestions {
		s.asked(now)
	}
	if !s.quiet(now) {
		t.Errorf("it is not quiet with %d questions since it answered", s.unheard)
	}
	for s.open > 0 {
		s.closed()
	}
	if s.quiet(now.Add(time.Hour)) {
		t.Error("it is quiet without a question")
	}
}
