package adversary

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// alterer stands before a Redis, and changes some numbers of what it replies to turns while it is
// told how.
type alterer struct {
	address string

	mu    sync.Mutex
	rng   *rand.Rand
	alter func(rng *rand.Rand, n string) string // nil for the truth
}

func newAlterer(t *testing.T, to string, rng *rand.Rand) *alterer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	a := &alterer{address: l.Addr().String(), rng: rng}
	go func() { // ends with the listener
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(server, client)
				_ = server.Close()
			}()
			go func() {
				defer client.Close() //nolint:errcheck // nothing is left to be sent
				part := make([]byte, 64<<10)
				for {
					n, err := server.Read(part)
					if err != nil {
						return
					}
					if _, err := client.Write(a.reply(part[:n])); err != nil {
						return
					}
				}
			}()
		}
	}()
	return a
}

func (a *alterer) tell(alter func(*rand.Rand, string) string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.alter = alter
}

// reply is what is passed on of a reply: of those to turns, three in ten are changed.
func (a *alterer) reply(truth []byte) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.alter == nil || truth[0] != '*' || len(truth) < 100 || a.rng.IntN(10) > 2 {
		return truth
	}
	lines := bytes.Split(truth, []byte("\r\n"))
	var at []int
	for i, line := range lines {
		if len(line) > 1 && line[0] == ':' || i > 0 && len(line) > 0 && len(lines[i-1]) > 0 && lines[i-1][0] == '$' {
			at = append(at, i)
		}
	}
	for range min(len(at), 1+a.rng.IntN(4)) {
		i := at[a.rng.IntN(len(at))]
		changed := a.alter(a.rng, string(lines[i]))
		if lines[i][0] != ':' {
			lines[i-1] = []byte("$" + strconv.Itoa(len(changed)))
		}
		lines[i] = []byte(changed)
	}
	return bytes.Join(lines, []byte("\r\n"))
}

// TestAlteredReplies has a Redis reply to turns what could be by its form, and is not so: numbers
// of turns and messages, counts, times, names. Soon after the last of them all flows are served
// as before, and never more than may be is in flight.
func TestAlteredReplies(t *testing.T) {
	t.Parallel() // it mostly waits
	rounds := 1
	switch {
	case testing.Short():
		t.Skip("skipped: takes 6 s")
	case os.Getenv("WEIR_ADVERSARY") != "":
		rounds = 5
	}
	rng := chance(t, os.Getenv("WEIR_ADVERSARY") != "")
	a := newAlterer(t, miniredis.RunT(t).Addr(), rng)
	w := startWorld(t, "redis://"+a.address)
	w.refuses.Store(true) // the queues may be said to be full
	numbers := []string{"-1", "0", "1", "7", "1000000", "2000000000", "4611686018427387904", "9223372036854775807", "-9223372036854775808"}
	for what, alter := range map[string]func(*rand.Rand, string) string{
		"other numbers": func(rng *rand.Rand, n string) string {
			if n[0] == ':' {
				return ":" + numbers[rng.IntN(len(numbers))]
			}
			return n
		},
		"other digits": func(rng *rand.Rand, n string) string {
			digits := []byte(n)
			for i, d := range digits {
				if d >= '0' && d <= '9' && rng.IntN(2) == 0 {
					digits[i] = byte('0' + rng.IntN(10))
				}
			}
			return string(digits)
		},
	} {
		for range rounds {
			a.tell(alter)
			time.Sleep(time.Second)
			a.tell(nil)
			time.Sleep(500 * time.Millisecond) // what was let go by a lie has ended
			w.peak.Store(0)
			before, began := w.served(), time.Now()
			for !w.allServed(before) {
				if time.Since(began) > 10*time.Second {
					t.Fatalf("%s: 10 s later not all flows are served: %v, %v before\n%s", what, w.served(), before, w.states(t))
				}
				time.Sleep(5 * time.Millisecond)
			}
			t.Logf("%s: all flows are served after %v", what, time.Since(began).Round(time.Millisecond))
			if most := w.peak.Load(); most > w.limit {
				t.Errorf("%s: afterwards %d requests were in flight, the limit is %d", what, most, w.limit)
			}
		}
	}
	if slices.Min(w.served()) == 0 {
		t.Error("a flow was never served")
	}
}
