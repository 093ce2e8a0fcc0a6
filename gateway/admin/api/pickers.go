package api

import "time"

// Pickers is the answer of /v1/pickers.
type Pickers struct {
	Fleet Fleet `json:"fleet"`
	Page
	Pickers []Picker `json:"pickers"`
}

// Picker is one other Endpoint Picker that chooses endpoints, as the replicas that ask it find it.
type Picker struct {
	// Address is its IP address and port, Name the name that it was found by.
	Address string `json:"address"`
	Name    string `json:"name"`
	// State is the worst that a replica says: in_use, quiet (it keeps requests waiting, and is asked
	// where no other can be), never_connected (to that replica, while another address of its name can
	// be used), probing (it answered nobody, and one request finds out whether it does again), silent
	// (it answered nobody, and is asked nothing for a while) or unreachable.
	State string `json:"state"`
	// Asked counts the requests put to it since the replicas' start, Failed those that it failed
	// before it had answered, and Ejected how often it was taken out of use.
	Asked   uint64 `json:"asked"`
	Failed  uint64 `json:"failed"`
	Ejected uint64 `json:"ejected"`
	// Unanswered are the requests put to it that it has not answered.
	Unanswered int `json:"unanswered"`
	// Error is what last went wrong with it, at whichever replica, and ErrorAt when; absent if
	// nothing did.
	Error   string     `json:"error,omitempty"`
	ErrorAt *time.Time `json:"error_at,omitempty"`
	// Replicas is how it stands at each.
	Replicas []PickerAt `json:"replicas"`
}

// PickerAt is how a picker stands at one replica.
type PickerAt struct {
	Replica string `json:"replica"`
	State   string `json:"state"`
	// Streams are those open at it, those for waiting requests included.
	Streams int `json:"streams"`
	// AnsweredMS is how long ago it last answered; absent if it never did.
	AnsweredMS *int64 `json:"answered_ms,omitempty"`
}
