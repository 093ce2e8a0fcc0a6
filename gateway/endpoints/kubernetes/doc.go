// Package kubernetes has the endpoints of an InferencePool: its pods, as far as they
// are ready, and the priorities of its InferenceObjectives.
//
//	InferencePool ──selector, ports──┐
//	Pods ──ready, IP─────────────────┼──> endpoints.Source
//	InferenceObjectives ──priority───┴──> Objectives
//
// It watches one namespace and asks for get, list and watch of these kinds there and
// nothing else; see deploy/helm/weir/templates. Each kind has a table, which a reflector
// of client-go keeps as the API server has it:
//
//	API server ──list, watch──> reflector ──read──> table ──changed──> Source.Run
//
// Objects are read through the dynamic client into the few fields that matter, since the
// typed clients of Kubernetes would be two thirds of the binary and of its build.
package kubernetes
