//go:build tools

// Package controlplane pins what make kubernetes builds: the kube-apiserver, kubectl
// and etcd that the tests of Weir's Kubernetes source run against.
package controlplane

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
