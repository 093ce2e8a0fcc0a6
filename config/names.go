package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/internal/hostport"
)

// maxName bounds the names of replicas, pools and the like, in bytes: they are parts of keys, of
// metrics and of messages.
const maxName = 128

// maxID bounds the ids of flows and the names of groups and objectives, in bytes: what a header may
// carry of a flow's.
const maxID = headers.MaxFlow

// printable reports whether a text holds nothing that cannot be seen: spaces between words can.
func printable(text string) bool {
	return utf8.ValidString(text) && strings.TrimSpace(text) == text && !strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) })
}

// plainName checks a name of up to 128 bytes that holds none of the characters given, nor spaces nor
// what cannot be printed. without says so.
func (c *checks) plainName(path, name, characters, without string) bool {
	if name != "" && len(name) <= maxName && printable(name) && !strings.ContainsAny(name, " "+characters) {
		return true
	}
	c.wrong(path, "must have 1 to %d characters, without %s and what cannot be printed", maxName, without)
	return false
}

// poolName checks the name of a pool, which stands in braces in the keys of its ledger.
func (c *checks) poolName(path, name string, names map[string]bool) {
	if c.plainName(path, name, "{}", "spaces, braces") && names[name] {
		c.wrong(path, "a pool of this name is listed above")
	}
	names[name] = true
}

// replicaName checks this replica's id, which is made up if it is not given.
func (b *builder) replicaName() {
	const path = "weir.replica"
	if name := b.file.Weir.Replica; name != "" || b.given(path) {
		b.plainName(path, name, "{}:", "spaces, braces, colons")
	}
}

// id checks the id of a flow or a pattern of ids, or the name of an objective.
func (c *checks) id(path, id string) {
	if err := checkID(id); err != nil {
		c.wrong(path, "%v", err)
	}
}

// checkID is why a text cannot be an id; nil if it can.
func checkID(id string) error {
	if len(id) > maxID || !printable(id) {
		return fmt.Errorf("must have up to %d characters, none of which cannot be printed, and no spaces around it", maxID)
	}
	return nil
}

// headerName checks the name of a header, or of what HTTP/2 has beside these, such as :authority.
func (c *checks) headerName(path, name string) {
	if !httpguts.ValidHeaderFieldName(strings.TrimPrefix(name, ":")) {
		c.wrong(path, "must be the name of a header, such as x-pool")
	}
}

// attribute checks the name of an attribute of Envoy's.
func (c *checks) attribute(path, name string) {
	if !printable(name) || strings.ContainsAny(name, " ") {
		c.wrong(path, "must be the name of an attribute, such as xds.route_name")
	}
}

// host checks a name that a certificate must have.
func (c *checks) host(path, host string) {
	if host != "" && !hostport.Host(host) {
		c.wrong(path, "must be a host's name or an IP address")
	}
}

// object checks the namespace and name of an object in Kubernetes.
func (c *checks) object(path, text string) {
	namespace, name, ok := strings.Cut(text, "/")
	if !ok || len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		c.wrong(path, "must be NAMESPACE/NAME, each as Kubernetes has it: small letters, digits and dashes")
	}
}

// label checks the name of a label in Kubernetes.
func (c *checks) label(path, name string) {
	if name != "" && len(validation.IsQualifiedName(name)) > 0 {
		c.wrong(path, "must be the name of a label, such as llm-d.ai/engine-type")
	}
}
