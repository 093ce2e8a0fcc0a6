package ordering

import (
	"encoding/json"

	"github.com/weirflow/weir/policies"
)

// named is a policy that orders by a score.
type named struct{ typed policies.TypedName }

// TypedName implements [policies.Plugin].
func (n named) TypedName() policies.TypedName { return n.typed }

// last is added to the scores of requests that go after all that have what the
// policy orders by: more microseconds than to any deadline, and few enough that a
// float still tells one from the next.
const last = 2e15

// withoutParameters makes the factory of a type that takes none.
func withoutParameters(build func(name string) policies.Plugin) policies.Factory {
	return func(name string, parameters json.RawMessage) (policies.Plugin, error) {
		if err := policies.DecodeParameters(parameters, &struct{}{}); err != nil {
			return nil, err
		}
		return build(name), nil
	}
}
