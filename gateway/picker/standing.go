package picker

import "time"

// A picker that answers nobody is taken out of use: it is asked nothing for a while, and then one
// request at a time, until it answers one. Each time that it does not doubles the pause before the
// next.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 8 * time.Second
)

// A picker that has been asked and has answered nobody for quietAfter, or since so many
// questions, is asked only where no other can be: it may have stopped, or be slow.
const (
	quietAfter     = 100 * time.Millisecond
	quietQuestions = 8
)

// maxBroken is how many streams in a row a picker may break and stay in use: the first few may be from
// before it started anew, and one request may be what it cannot take.
const maxBroken = 2

// standing is what is known of whether a picker answers. A question is a request that was put to
// it; it is open until the picker has answered all of it, or its stream has ended.
type standing struct {
	open    int       // questions
	since   time.Time // how long nobody was answered, while questions are open
	unheard int       // questions since then
	broken  int       // streams that it broke since it last answered
	heard   time.Time // when it last answered
	out     bool      // of use
	until   time.Time // when it may be asked again, if it is out of use
	outs    int       // how often in a row it was taken out of use
}

// asked notes a question.
func (s *standing) asked(now time.Time) {
	if s.open == 0 {
		s.since, s.unheard = now, 0
	}
	s.open++
	s.unheard++
}

// closed notes that a question is not open any more.
func (s *standing) closed() { s.open-- }

// answered notes that a question was answered, and reports whether that has the picker in use
// again.
func (s *standing) answered(now time.Time) (again bool) {
	again = s.out
	s.heard, s.since, s.unheard, s.broken = now, now, 0, 0
	s.out, s.outs = false, 0
	return again
}

// broke notes that it broke a stream, and reports whether those are too many in a row.
func (s *standing) broke() bool {
	s.broken++
	return s.broken > maxBroken
}

// silent reports whether nothing was answered since then.
func (s *standing) silent(since time.Time) bool { return !s.heard.After(since) }

// quiet reports whether questions have been open for long.
func (s *standing) quiet(now time.Time) bool {
	return s.open > 0 && (s.unheard >= quietQuestions || now.Sub(s.since) > quietAfter)
}

// takeOut takes the picker out of use, and returns for how long.
func (s *standing) takeOut(now time.Time) (pause time.Duration) {
	pause = min(lastPause, firstPause<<min(s.outs, 10))
	s.out, s.until = true, now.Add(pause)
	s.outs++
	return pause
}

// due reports whether it is out of use and may be asked again, by one request.
func (s *standing) due(now time.Time) bool { return s.out && !now.Before(s.until) }
