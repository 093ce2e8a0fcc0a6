// Package kubernetes has the endpoints of an InferencePool: its pods, as far as they
// are ready, and the priorities of its InferenceObjectives.
//
//	InferencePool ──selector, ports──┐
//	Pods ──ready, IP─────────────────┼──> endpoints.Source
//	InferenceObjectives ──priority───┴──> Objectives
//
// It watches one namespace, through controller-runtime's cache, and asks for get, list
// and watch of these kinds there and nothing else; see deploy/helm/weir/templates.
package kubernetes
