package envoy

import (
	"strconv"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
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

// What may come of a body before it is taken in has its room beforehand, unless it is small: window
// bytes, which gRPC takes in of a stream that nobody reads.
const (
	window = 64 << 10
	small  = 16 << 10
)

// expect has room made for the body that comes behind the headers, or refuses it before it comes. The
// stream's own headers are sent once there is: what comes behind them is counted here.
func (x *stream) expect(headers *core.HeaderMap) error {
	length := int64(-1)
	for _, h := range headers.GetHeaders() {
		if h.GetKey() == "content-length" {
			if n, err := strconv.ParseInt(valueOf(h), 10, 64); err == nil {
				length = n
			}
		}
	}
	if length >= 0 && length <= small {
		return nil
	}
	if refused := x.session.Body.Expect(length, window); refused != nil {
		return refused
	}
	return x.stream.SendHeader(nil)
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
