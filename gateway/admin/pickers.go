package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/picker"
)

// pickerStates are the states of a picker, the best first.
var pickerStates = []picker.State{picker.InUse, picker.Quiet, picker.NeverConnected, picker.Probing, picker.Silent, picker.Unreachable}

// worse reports whether a picker's state is worse than another. One of another version, which is
// not known here, is worse than any.
func worse(a, b string) bool {
	rank := func(state string) int {
		if i := slices.Index(pickerStates, picker.State(state)); i >= 0 {
			return i
		}
		return len(pickerStates)
	}
	return rank(a) > rank(b)
}

func (s *Server) pickers(ctx context.Context, q *query) (*api.Pickers, error) {
	parts, fleet, err := gather[statePart](ctx, s, q.replica, question{Ask: askState})
	if err != nil {
		return nil, err
	}
	list := mergePickers(parts, time.Now())
	some, p := page(q, list)
	return &api.Pickers{Fleet: fleet, Page: p, Pickers: some}, nil
}

// mergePickers lists the pickers by what each replica says of them, by their names.
func mergePickers(parts []partOf[statePart], now time.Time) []api.Picker {
	list := []api.Picker{}
	for i := range parts {
		for j := range parts[i].part.Pickers {
			from := &parts[i].part.Pickers[j]
			at := slices.IndexFunc(list, func(one api.Picker) bool { return one.Address == from.Address })
			if at < 0 {
				at = len(list)
				list = append(list, api.Picker{Address: from.Address, Name: from.Name, State: string(from.State)})
			}
			to := &list[at]
			if worse(string(from.State), to.State) {
				to.State = string(from.State)
			}
			to.Asked, to.Failed, to.Ejected, to.Unanswered = to.Asked+from.Asked, to.Failed+from.Failed, to.Ejected+from.Ejected, to.Unanswered+from.Unanswered
			if from.Error != "" && (to.ErrorAt == nil || from.ErrorAt.After(*to.ErrorAt)) {
				to.Error, to.ErrorAt = from.Error, &from.ErrorAt
			}
			here := api.PickerAt{Replica: parts[i].replica, State: string(from.State), Streams: from.Streams}
			if !from.Answered.IsZero() {
				ms := max(0, now.Sub(from.Answered).Milliseconds())
				here.AnsweredMS = &ms
			}
			to.Replicas = append(to.Replicas, here)
		}
	}
	slices.SortFunc(list, func(a, b api.Picker) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Address, b.Address))
	})
	return list
}
