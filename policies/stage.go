package policies

import "slices"

// Stage is a part of serving a request that endpoints may be there for alone: where prompts
// are read by some and answers made by others, a request is at one of each.
type Stage string

// The stages.
const (
	Encode  Stage = "encode" // of images and the like
	Prefill Stage = "prefill"
	Decode  Stage = "decode"
)

// RoleLabel is the label of an endpoint that names the stages it serves.
const RoleLabel = "llm-d.ai/role"

// roles are the values of [RoleLabel] and the stages that they stand for.
var roles = map[string][]Stage{
	"encode": {Encode}, "prefill": {Prefill}, "decode": {Decode},
	"encode-prefill": {Encode, Prefill}, "prefill-decode": {Prefill, Decode}, "encode-prefill-decode": {Encode, Prefill, Decode},
	"both": {Prefill, Decode}, // an older name
}

// Serves reports whether an endpoint with the labels is there for a stage. One without the
// label makes answers; a role that is not known stands for nothing.
func Serves(labels map[string]string, s Stage) bool {
	stages, known := roles[labels[RoleLabel]]
	if !known {
		return s == Decode && labels[RoleLabel] == ""
	}
	return slices.Contains(stages, s)
}

// LabelsOf are an endpoint's labels, if it has any.
func LabelsOf(e EndpointAccessor) map[string]string {
	if l, ok := e.(Labelled); ok {
		return l.Labels()
	}
	return nil
}
