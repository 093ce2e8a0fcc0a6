package controller

import (
	"slices"

	"github.com/weirflow/weir/policies"
)

// stages are a pool's endpoints by what they are there for. A request has its slot at one that
// makes answers, for its whole life, and is at one that reads prompts before.
type stages struct{ prefill, decode []policies.EndpointAccessor }

// stagesOf returns the endpoints by stage, and whether they are apart: some do not make
// answers. Where all do, each serves whole requests, whatever else it is labelled.
func stagesOf(endpoints []policies.EndpointAccessor) (s stages, apart bool) {
	serves := func(stage policies.Stage) (some []policies.EndpointAccessor) {
		return slices.DeleteFunc(slices.Clone(endpoints), func(e policies.EndpointAccessor) bool { return !policies.Serves(policies.LabelsOf(e), stage) })
	}
	if s.decode = serves(policies.Decode); len(s.decode) == len(endpoints) {
		return stages{}, false
	}
	s.prefill = serves(policies.Prefill)
	return s, true
}
