package admin

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/policies"
)

// query is what a request asks for.
type query struct {
	id       string // of the path
	replica  bool   // of this replica alone
	flow     string // a part of a flow's id
	group    string // its path
	priority *int
	state    string
	sort     string
	kind     string
	endpoint string
	since    time.Time
	by       string
	from, to time.Time
	limit    int
	offset   int
}

// Bounds on pages.
const (
	defaultPage = 100
	maxPage     = 1000
)

// parse reads a request's query. What is not known is refused: a misspelt filter would
// answer with everything.
func parse(r *http.Request, known []string) (*query, error) {
	q := &query{id: r.PathValue("id"), limit: defaultPage}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("the query cannot be read: %w", err)
	}
	for name, given := range values {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("parameter %q is not known here; there are: %s", name, strings.Join(known, ", "))
		}
		if err := q.set(name, given[0]); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (q *query) set(name, value string) error {
	number := func(least, most int) (int, error) {
		n, err := strconv.Atoi(value)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("%s=%s: it must be a number from %d to %d", name, value, least, most)
		}
		return n, nil
	}
	oneOf := func(allowed ...string) error {
		if !slices.Contains(allowed, value) {
			return fmt.Errorf("%s=%s: it must be one of %s", name, value, strings.Join(allowed, ", "))
		}
		return nil
	}
	var err error
	switch name {
	case "scope":
		err = oneOf("fleet", "replica")
		q.replica = value == "replica"
	case "flow":
		q.flow = value
	case "group":
		q.group = value
	case "kind":
		q.kind = value
	case "endpoint":
		q.endpoint = value
	case "by":
		q.by, err = value, oneOf(usageBy...)
	case "from":
		q.from, err = timeOf(name, value)
	case "to":
		q.to, err = timeOf(name, value)
	case "since":
		q.since, err = timeOf(name, value)
	case "state":
		q.state, err = value, oneOf("waiting", "in_flight", "at_limit")
	case "sort":
		q.sort, err = value, oneOf(slices.Concat(flowOrders(), descending(flowOrders()))...)
	case "priority":
		var n int
		n, err = number(policies.MinPriority, policies.MaxPriority)
		q.priority = &n
	case "limit":
		q.limit, err = number(1, maxPage)
	case "offset":
		q.offset, err = number(0, math.MaxInt32)
	}
	return err
}

// timeOf reads a time.
func timeOf(name, value string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return t, fmt.Errorf("%s=%s: it must be a time such as 2026-01-31T12:00:00Z", name, value)
	}
	return t, nil
}

// page cuts a list to the page that was asked for.
func page[T any](q *query, all []T) ([]T, api.Page) {
	p := api.Page{Total: len(all), Offset: q.offset}
	from := min(q.offset, len(all))
	to := min(from+q.limit, len(all))
	if to < len(all) {
		p.Next = &to
	}
	return append([]T{}, all[from:to]...), p
}
