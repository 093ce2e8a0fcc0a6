package integration

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestBadRedis wants weir serve to say what to change when what --redis names
// cannot keep a ledger.
func TestBadRedis(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "secret")
	old := answerer(t, func(command string) string {
		if strings.Contains(command, "HELLO") {
			return "-ERR unknown command 'HELLO'\r\n"
		}
		if strings.Contains(command, "INFO") {
			return bulk("# Server\r\nredis_version:4.0.9\r\n")
		}
		return "+OK\r\n"
	})
	web := answerer(t, func(string) string { return "HTTP/1.1 400 Bad Request\r\n\r\n" })
	nobody := freeport.Address(t)
	client := goredis.NewClient(&goredis.Options{Addr: server.Address, Password: "secret"})
	defer client.Close() //nolint:errcheck // a test
	if err := client.Set(context.Background(), "weir:{taken}", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		env  string
		says string
	}{
		{"no password", []string{"--redis", server.URL()}, "", "WEIR_REDIS_PASSWORD"},
		{"wrong password", []string{"--redis", server.URL()}, "WEIR_REDIS_PASSWORD=wrong", "password is wrong"},
		{"unknown user", []string{"--redis", "redis://nobody@" + server.Address}, "WEIR_REDIS_PASSWORD=secret", "user or password is wrong"},
		{"no such password file", []string{"--redis", server.URL(), "--redis-password-file", "/no/such"}, "", "--redis-password-file"},
		{"not a Redis", []string{"--redis", "redis://" + web}, "", "does not speak Redis"},
		{"nobody there", []string{"--redis", "redis://" + nobody}, "", "connection refused"},
		{"too old", []string{"--redis", "redis://" + old}, "", "4.0.9; 6.0 or later"},
		{"not a URL", []string{"--redis", "redis://:hunter2@h:port:x"}, "", "want redis://"},
		{"another scheme", []string{"--redis", "http://127.0.0.1"}, "", "scheme"},
		{"unknown option", []string{"--redis", "redis://127.0.0.1?pool=3"}, "", "not understood"},
		{"key of another type", []string{"--redis", server.URL(), "--redis-password-file", password, "--pool", "taken"}, "", "delete it, or choose another prefix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, processes.Binary(), append([]string{
				"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
				"--upstream", "http://127.0.0.1:1",
			}, c.args...)...)
			cmd.Env = append(os.Environ(), c.env)
			out, err := cmd.CombinedOutput()
			if err == nil || ctx.Err() != nil {
				t.Fatalf("it went on: %v\n%s", err, out)
			}
			if !strings.Contains(string(out), c.says) {
				t.Errorf("it says %q, want %q in it", out, c.says)
			}
			for _, secret := range []string{"hunter2", "secret"} {
				if strings.Contains(string(out), secret) {
					t.Errorf("the password is in %q", out)
				}
			}
		})
	}
}

// answerer answers every line that comes in with what the function says.
func answerer(t *testing.T, answer func(string) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close() //nolint:errcheck // a test
				for lines := bufio.NewReader(conn); ; {
					command, err := readCommand(lines)
					if err != nil {
						return
					}
					if _, err := fmt.Fprint(conn, answer(command)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// readCommand reads one command of Redis's protocol.
func readCommand(r *bufio.Reader) (string, error) {
	var n int
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	if _, err := fmt.Sscanf(line, "*%d", &n); err != nil {
		return "", err
	}
	var words []string
	for range 2 * n {
		word, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		words = append(words, strings.ToUpper(strings.TrimSpace(word)))
	}
	return strings.Join(words, " "), nil
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }
