// Package kubernetes tests the InferencePool source and the Helm chart against a real
// kube-apiserver: there are no nodes, so pods exist and nothing runs in them, and their
// status is what the test says. make kubernetes builds the API server, etcd, kubectl and
// helm; without them the tests are skipped.
package kubernetes
