package resp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// replies are of every kind that Redis has.
var replies = []string{
	"+OK\r\n", "-ERR no\r\n", ":12\r\n", "$2\r\nhi\r\n", "$0\r\n\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", "*2\r\n:1\r\n$1\r\na\r\n",
	"_\r\n", ",1.5\r\n", "#t\r\n", "(123456789012345678901234567890\r\n", "!3\r\nERR\r\n", "=7\r\ntxt:abc\r\n",
	"%1\r\n+a\r\n*1\r\n:1\r\n", "~1\r\n:1\r\n", ">2\r\n+invalidate\r\n_\r\n", "|1\r\n+ttl\r\n:3\r\n:1\r\n", "*1\r\n|1\r\n+a\r\n:1\r\n:2\r\n",
	"$4\r\na\r\nb\r\n",
}

func TestRepliesAreTaken(t *testing.T) {
	all := strings.Join(replies, "")
	for _, size := range []int{1, 2, 3, 7, len(all)} {
		c := checker{}
		for rest := all; rest != ""; {
			n := min(size, len(rest))
			if err := c.take([]byte(rest[:n])); err != nil {
				t.Fatalf("in parts of %d, before %.20q: %v", size, rest, err)
			}
			rest = rest[n:]
		}
		if len(c.open) > 0 || c.skip > 0 || c.kind != 0 || c.bytes != 0 || c.elements != 0 {
			t.Errorf("in parts of %d something is left: %+v", size, c)
		}
	}
}

func TestWhatIsNoReply(t *testing.T) {
	for what, sent := range map[string]string{
		"a length beyond numbers": "$9223372036854775805\r\n",
		"a large string":          "$67108865\r\n",
		"many elements":           "*1048577\r\n",
		"more elements in all":    "*2\r\n*1048575\r\n",
		"pairs":                   "%1048576\r\n",
		"too deep":                strings.Repeat("*1\r\n", maxDepth+1),
		"attributes, too deep":    strings.Repeat("|1\r\n", maxDepth+1),
		"a negative length":       "*-2\r\n",
		"no length":               "$\r\n",
		"a length of words":       "$two\r\n",
		"an empty message":        ">0\r\n",
		"another protocol":        "HTTP/1.1 400 Bad Request\r\n",
		"half an end":             "+OK\rx",
		"a long line":             "+" + strings.Repeat("a", maxLine+1),
		"many replies in one":     "*1048000\r\n" + strings.Repeat("$100\r\n"+strings.Repeat("a", 100)+"\r\n", maxBytes/107),
	} {
		c := checker{}
		if err := c.take([]byte(sent)); !errors.Is(err, ErrReply) {
			t.Errorf("%s: %v; want that it is no reply", what, err)
		}
		if c.take([]byte("+OK\r\n")) == nil {
			t.Errorf("%s: it goes on afterwards", what)
		}
	}
}

// played is a connection to a server that says this, whatever it is asked, and then ends.
type played struct {
	net.Conn
	said *bytes.Reader
}

func (p *played) Read(b []byte) (int, error)       { return p.said.Read(b) }
func (p *played) Write(b []byte) (int, error)      { return len(b), nil }
func (p *played) Close() error                     { return nil }
func (p *played) SetDeadline(time.Time) error      { return nil }
func (p *played) SetReadDeadline(time.Time) error  { return nil }
func (p *played) SetWriteDeadline(time.Time) error { return nil }
func (p *played) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// FuzzClient has a server say anything to the client behind a guard, which must not panic.
func FuzzClient(f *testing.F) {
	for _, r := range replies {
		f.Add([]byte(r))
	}
	f.Add([]byte("$9223372036854775805\r\n"))
	f.Add([]byte("*9223372036854775\r\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		client := goredis.NewClient(&goredis.Options{
			Protocol: 2, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1,
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				return Guard(&played{said: bytes.NewReader(said)}), nil
			},
		})
		defer client.Close() //nolint:errcheck // nothing is left
		_, _ = client.Do(t.Context(), "PING").Result()
		whole := Guard(&played{said: bytes.NewReader(said)})
		read, err := io.ReadAll(whole)
		if err == nil && !bytes.Equal(read, said) {
			t.Errorf("%q was read as %q", said, read)
		}
	})
}
