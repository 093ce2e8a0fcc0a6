package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client asks a replica. It is safe for concurrent use.
type Client struct {
	// Address is the replica's admin address: a URL, or HOST:PORT for plain HTTP.
	Address string
	// Token is the admin token; empty for none.
	Token string
	// Of is the name of the pool that is asked about; empty where the replica has one.
	Of string
	// HTTP makes the requests; nil for http.DefaultClient.
	HTTP *http.Client
}

// Query says what of a list is wanted. What does not go with a question is left out of it
// by leaving it zero.
type Query struct {
	// Replica asks for the answer of the one replica alone.
	Replica bool
	// Flow is a part of a flow's id, or of requests the whole id; Priority that of the
	// flow; State waiting, in_flight or at_limit; Sort an order of flows; Kind one of events.
	Flow     string
	Priority *int
	State    string
	Sort     string
	Kind     string
	// Group is the path of a group of flows: those in it, or in one that is in it.
	Group string
	// By says what usage is told by: flow, group, hour, flow,hour or group,hour; From and To of
	// which time.
	By       string
	From, To time.Time
	// Since leaves out of the history what is not after it.
	Since time.Time
	// Limit is how many are wanted at most, 0 for the replica's default, and Offset how many
	// are left out at the begin.
	Limit, Offset int
}

func (q *Query) encode() string {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Replica {
		set("scope", "replica")
	}
	set("flow", q.Flow)
	set("group", q.Group)
	set("state", q.State)
	set("sort", q.Sort)
	set("kind", q.Kind)
	if q.Priority != nil {
		set("priority", strconv.Itoa(*q.Priority))
	}
	set("by", q.By)
	if !q.From.IsZero() {
		set("from", q.From.Format(time.RFC3339Nano))
	}
	if !q.To.IsZero() {
		set("to", q.To.Format(time.RFC3339Nano))
	}
	if !q.Since.IsZero() {
		set("since", q.Since.Format(time.RFC3339Nano))
	}
	if q.Limit > 0 {
		set("limit", strconv.Itoa(q.Limit))
	}
	if q.Offset > 0 {
		set("offset", strconv.Itoa(q.Offset))
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// Errors of a Client, to be tested with errors.Is.
var (
	// ErrNotFound: the replica knows nothing of the name that was asked for.
	ErrNotFound = errors.New("not found")
	// ErrToken: the replica asks for a token, or for another one.
	ErrToken = errors.New("the admin token is missing or wrong")
	// ErrUnavailable: the replica could not find the answer now, or not in time.
	ErrUnavailable = errors.New("the replica cannot answer")
	// ErrRefused: the replica answered with another error, which the text has.
	ErrRefused = errors.New("the replica refuses")
)

// notFound is ErrNotFound in the replica's words, which say what is not there.
type notFound string

// Error implements error.
func (e notFound) Error() string { return string(e) }

// Is makes it ErrNotFound.
func (notFound) Is(target error) bool { return target == ErrNotFound }

// Pools asks for /v1/pools.
func (c *Client) Pools(ctx context.Context) (*Pools, error) {
	all := *c
	all.Of = ""
	return get[Pools](ctx, &all, "/v1/pools")
}

// Pool asks for /v1/pool.
func (c *Client) Pool(ctx context.Context, q Query) (*Pool, error) {
	return get[Pool](ctx, c, "/v1/pool"+q.encode())
}

// Shares asks for /v1/shares.
func (c *Client) Shares(ctx context.Context, q Query) (*Shares, error) {
	return get[Shares](ctx, c, "/v1/shares"+q.encode())
}

// Flows asks for /v1/flows.
func (c *Client) Flows(ctx context.Context, q Query) (*Flows, error) {
	return get[Flows](ctx, c, "/v1/flows"+q.encode())
}

// Shadow asks for /v1/shadow.
func (c *Client) Shadow(ctx context.Context, q Query) (*Shadow, error) {
	return get[Shadow](ctx, c, "/v1/shadow"+q.encode())
}

// Requests asks for /v1/requests.
func (c *Client) Requests(ctx context.Context, q Query) (*Requests, error) {
	return get[Requests](ctx, c, "/v1/requests"+q.encode())
}

// Request asks for one request, by its id or its ticket, and why it waits.
func (c *Client) Request(ctx context.Context, id string) (*RequestDetail, error) {
	return get[RequestDetail](ctx, c, "/v1/requests/"+url.PathEscape(id))
}

// Endpoints asks for /v1/endpoints.
func (c *Client) Endpoints(ctx context.Context, q Query) (*Endpoints, error) {
	return get[Endpoints](ctx, c, "/v1/endpoints"+q.encode())
}

// Pickers asks for /v1/pickers.
func (c *Client) Pickers(ctx context.Context, q Query) (*Pickers, error) {
	return get[Pickers](ctx, c, "/v1/pickers"+q.encode())
}

// Replicas asks for /v1/replicas.
func (c *Client) Replicas(ctx context.Context, q Query) (*Replicas, error) {
	return get[Replicas](ctx, c, "/v1/replicas"+q.encode())
}

// Shards asks for /v1/shards.
func (c *Client) Shards(ctx context.Context, q Query) (*Shards, error) {
	return get[Shards](ctx, c, "/v1/shards"+q.encode())
}

// Config asks for /v1/config.
func (c *Client) Config(ctx context.Context, q Query) (*Config, error) {
	return get[Config](ctx, c, "/v1/config"+q.encode())
}

// Events asks for /v1/events.
func (c *Client) Events(ctx context.Context, q Query) (*Events, error) {
	return get[Events](ctx, c, "/v1/events"+q.encode())
}

// History asks for /v1/history.
func (c *Client) History(ctx context.Context, q Query) (*History, error) {
	return get[History](ctx, c, "/v1/history"+q.encode())
}

// Usage asks for /v1/usage: what flows used, by the hour.
func (c *Client) Usage(ctx context.Context, q Query) (*UsageList, error) {
	return get[UsageList](ctx, c, "/v1/usage"+q.encode())
}

// Overrides asks for /v1/overrides: what operators set for a time.
func (c *Client) Overrides(ctx context.Context, q Query) (*Overrides, error) {
	return get[Overrides](ctx, c, "/v1/overrides"+q.encode())
}

// SetOverride sets a flow's weight or limits, or drains an endpoint, for a time, and returns
// all that is set.
func (c *Client) SetOverride(ctx context.Context, o *SetOverride) (*Overrides, error) {
	return ask[Overrides](ctx, c, http.MethodPost, "/v1/overrides", o)
}

// TakeBack takes back what was set of a flow, or of an endpoint, and returns what else is.
func (c *Client) TakeBack(ctx context.Context, flow, endpoint string) (*Overrides, error) {
	q := url.Values{"flow": {flow}}
	if endpoint != "" {
		q = url.Values{"endpoint": {endpoint}}
	}
	return ask[Overrides](ctx, c, http.MethodDelete, "/v1/overrides?"+q.Encode(), nil)
}

// Evict ends a request that waits, or one in flight of a priority below 0.
func (c *Client) Evict(ctx context.Context, id string) (*Evicted, error) {
	return ask[Evicted](ctx, c, http.MethodDelete, "/v1/requests/"+url.PathEscape(id), nil)
}

// maxBody bounds an answer, in bytes.
const maxBody = 64 << 20

func get[T any](ctx context.Context, c *Client, path string) (*T, error) {
	return ask[T](ctx, c, http.MethodGet, path, nil)
}

// ask makes a request, with a body if there is one.
func ask[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
	address := strings.TrimSuffix(c.Address, "/")
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	if c.Of != "" {
		mark := "?"
		if strings.Contains(path, "?") {
			mark = "&"
		}
		path += mark + "pool=" + url.QueryEscape(c.Of)
	}
	var text io.Reader = http.NoBody
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("ask the replica: %w", err)
		}
		text = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, address+path, text)
	if err != nil {
		return nil, fmt.Errorf("admin address %q: %w", c.Address, err)
	}
	if c.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the replica: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // it is read to the end, or not needed
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.Address, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, c.failed(res.StatusCode, answer)
	}
	v := new(T)
	if err := json.Unmarshal(answer, v); err != nil {
		return nil, fmt.Errorf("%s does not answer as a replica's admin address: %w", c.Address, err)
	}
	return v, nil
}

func (c *Client) failed(status int, body []byte) error {
	if status == http.StatusUnauthorized {
		return fmt.Errorf("%s: %w", c.Address, ErrToken)
	}
	var e Error
	if json.Unmarshal(body, &e) != nil || e.Message == "" {
		return fmt.Errorf("%s does not answer as a replica's admin address: status %d", c.Address, status)
	}
	switch status {
	case http.StatusNotFound:
		return notFound(e.Message)
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return fmt.Errorf("%w: %s", ErrUnavailable, e.Message)
	default:
		return fmt.Errorf("%w with status %d: %s", ErrRefused, status, e.Message)
	}
}
