package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/internal/hostport"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/redis/internal/resp"
)

// PasswordVariable is the environment variable the password is taken from.
const PasswordVariable = "WEIR_REDIS_PASSWORD"

// Config describes where the ledger is and how it is kept. Fields without a
// value take their default.
type Config struct {
	// URL is redis://host:port/db, or rediss:// for TLS. Several hosts are
	// separated by commas: with ?master=NAME they are Sentinels, with
	// ?cluster=true nodes of a cluster. A user may be given as redis://user@host.
	URL string
	// PasswordFile holds the password, and is read at each connection; without it the environment variable
	// WEIR_REDIS_PASSWORD is taken, and then the URL's.
	PasswordFile string
	// CertFile and KeyFile hold the certificate shown to a server that asks for one, and
	// CAFile the CA of the server's; the system's CAs without it. They are for rediss://,
	// and the certificate is read at each connection.
	CertFile, KeyFile, CAFile string
	// Pool names the pool; "default". Replicas of one pool share a book.
	Pool string
	// Prefix starts every key; "weir:".
	Prefix string
	store.Timings
	// KeyTTL is how long the keys of an abandoned pool stay; 10 minutes, at
	// least ten leases.
	KeyTTL time.Duration
	// Timeout bounds dialling, and reading and writing once connected; 500 ms.
	Timeout time.Duration
	// ByScript is told why, when turns begin to be taken by a script, which costs Redis more
	// than the function of a library, and nil when they are by a function again. It is called
	// while a turn is taken, and must not block.
	ByScript func(why error)
	// Clock takes the place of the server's clock in tests; nil.
	Clock func() time.Time
}

func (c Config) withDefaults() Config {
	c.Timings = c.Timings.WithDefaults()
	if c.Timeout == 0 {
		c.Timeout = 500 * time.Millisecond
	}
	if c.KeyTTL == 0 {
		c.KeyTTL = max(10*time.Minute, 10*c.Lease, 2*c.CounterKeep)
	}
	if c.Pool == "" {
		c.Pool = "default"
	}
	if c.Prefix == "" {
		c.Prefix = "weir:"
	}
	if c.ByScript == nil {
		c.ByScript = func(error) {}
	}
	return c
}

// errURL wraps what is wrong with a URL. The URL itself may hold a password, so
// it is never part of an error.
var errURL = errors.New("redis URL: want redis://[user@]host:port[,host:port...][/db][?master=NAME|?cluster=true]")

// meant offers a URL for what is a host and a port alone.
func meant(text string) string {
	host, port, err := net.SplitHostPort(text)
	if _, number := strconv.ParseUint(port, 10, 16); err != nil || number != nil || strings.ContainsAny(host, "@/?") {
		return ""
	}
	return fmt.Sprintf("; did you mean redis://%s?", text)
}

// options turns the configuration into the client's.
func (c Config) options() (*goredis.UniversalOptions, error) {
	u, err := c.parsed()
	if err != nil {
		return nil, err
	}
	o := &goredis.UniversalOptions{
		DialTimeout: c.Timeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout,
		MaxRetries: -1, DialerRetries: 1, // the core plans its own tries
		// After so many failed dials the client would dial once a second only, and
		// replicas would come back from an outage that far apart. It opens what it
		// needs: a connection for turns, one for wake-ups.
		PoolSize: 1 << 14, MaxConcurrentDials: 4,
		ClientName: "weir",
	}
	switch u.Scheme {
	case "redis":
	case "rediss":
		if o.TLSConfig, err = c.tls(); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w; the scheme is %q%s", errURL, u.Scheme, meant(c.URL))
	}
	if err := locate(o, u); err != nil {
		return nil, err
	}
	if err := c.authenticate(o, u); err != nil {
		return nil, err
	}
	dial := goredis.NewDialer(&goredis.Options{DialTimeout: c.Timeout, TLSConfig: o.TLSConfig})
	o.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return resp.Guard(conn), nil
	}
	return o, nil
}

// parsed is the URL, with all its hosts as one.
func (c Config) parsed() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err == nil {
		return u, nil
	}
	// The parser's own words may repeat the URL. Several hosts with ports
	// do not parse as one, so try them by the first.
	first, rest, several := strings.Cut(c.URL, ",")
	if !several {
		return nil, fmt.Errorf("%w%s", errURL, meant(c.URL))
	}
	hosts, tail := rest, ""
	if at := strings.IndexAny(rest, "/?"); at >= 0 {
		hosts, tail = rest[:at], rest[at:]
	}
	if u, err = url.Parse(first + tail); err != nil {
		return nil, errURL
	}
	u.Host += "," + hosts
	return u, nil
}

// locate takes from the URL where the ledger is: hosts, the database, and what they are.
func locate(o *goredis.UniversalOptions, u *url.URL) (err error) {
	if u.Host == "" {
		return fmt.Errorf("%w; there is no host", errURL)
	}
	for _, host := range strings.Split(u.Host, ",") {
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), "6379")
		}
		if err := hostport.Remote(host); err != nil {
			return fmt.Errorf("%w; of %q %w", errURL, host, err)
		}
		o.Addrs = append(o.Addrs, host)
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if o.DB, err = strconv.Atoi(db); err != nil || o.DB < 0 {
			return fmt.Errorf("%w; the database %q is not a number", errURL, db)
		}
	}
	for key, values := range u.Query() {
		switch {
		case key == "master" && values[0] != "":
			o.MasterName = values[0]
		case key == "cluster" && values[0] == "true":
			o.IsClusterMode = true
		default:
			return fmt.Errorf("%w; %q is not understood", errURL, key)
		}
	}
	if len(o.Addrs) > 1 && o.MasterName == "" && !o.IsClusterMode {
		return fmt.Errorf("%w; several hosts need ?master=NAME or ?cluster=true", errURL)
	}
	return nil
}

// authenticate says as whom the client comes, and with which password.
func (c Config) authenticate(o *goredis.UniversalOptions, u *url.URL) (err error) {
	o.Username = u.User.Username()
	o.Password, _ = u.User.Password()
	if env := os.Getenv(PasswordVariable); env != "" {
		o.Password = env
	}
	if c.PasswordFile == "" {
		return nil
	}
	if o.Password, err = c.password(); err != nil {
		return err
	}
	o.CredentialsProviderContext = func(context.Context) (string, string, error) {
		password, err := c.password()
		return o.Username, password, err
	}
	return nil
}

// CheckURL says what is wrong with a URL, without its password.
func CheckURL(url string) error {
	_, err := Config{URL: url}.options()
	return err
}
