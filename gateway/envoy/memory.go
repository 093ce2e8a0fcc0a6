package envoy

import (
	"strings"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weirflow/weir/gateway/refusal"
)

// About how many bytes of memory what is kept of Envoy's messages takes, beside its text.
const (
	addressBytes = 64  // an endpoint that may be picked, in the table of them
	messageBytes = 128 // a message, or one in another
	elementBytes = 16  // of a list
	entryBytes   = 64  // of a table
)

// within takes in which endpoints may be picked, and counts them before there is a table of them.
func (x *stream) within(m *extproc.ProcessingRequest) *refusal.Refusal {
	texts, bytes := subsetTexts(m), int64(0)
	for _, text := range texts {
		bytes += int64(len(text)) + addressBytes*int64(strings.Count(text, ",")+1)
	}
	if bytes > 0 {
		if refused := x.session.Body.Hold(bytes); refused != nil {
			return refused
		}
	}
	x.subset = subsetOf(texts)
	return nil
}

// memoryOf is about how many bytes of memory a message takes.
func memoryOf(m protoreflect.Message) int64 {
	all := messageBytes + int64(len(m.GetUnknown()))
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList():
			for i := range v.List().Len() {
				all += elementBytes + valueMemory(f, v.List().Get(i))
			}
		case f.IsMap():
			v.Map().Range(func(key protoreflect.MapKey, one protoreflect.Value) bool {
				all += entryBytes + int64(len(key.String())) + valueMemory(f.MapValue(), one)
				return true
			})
		default:
			all += valueMemory(f, v)
		}
		return true
	})
	return all
}

// valueMemory is about how many bytes of memory a value takes beside the field that it is in.
func valueMemory(f protoreflect.FieldDescriptor, v protoreflect.Value) int64 {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return memoryOf(v.Message())
	case protoreflect.StringKind:
		return int64(len(v.String()))
	case protoreflect.BytesKind:
		return int64(len(v.Bytes()))
	default:
		return 0
	}
}
