package rig

import (
	"context"
	"io"
	"net/http"
	"strconv"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// EnvoyHead begins a chat of that id, with further headers, each a name and a value.
func EnvoyHead(id string, headers ...string) *extproc.ProcessingRequest {
	all := []*core.HeaderValue{{Key: ":method", Value: http.MethodPost}, {Key: ":path", Value: "/v1/chat/completions"}, {Key: "x-request-id", Value: id}}
	for i := 0; i+1 < len(headers); i += 2 {
		all = append(all, &core.HeaderValue{Key: headers[i], Value: headers[i+1]})
	}
	return &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{Headers: all}}}}
}

// EnvoyBody is a request's whole body.
func EnvoyBody(text string) *extproc.ProcessingRequest {
	return &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: []byte(text), EndOfStream: true}}}
}

// EnvoyAnswer begins an answer of a model server.
func EnvoyAnswer(status int) *extproc.ProcessingRequest {
	return &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{
		Headers: &core.HeaderMap{Headers: []*core.HeaderValue{{Key: ":status", Value: strconv.Itoa(status)}}},
	}}}
}

// EnvoyAnswerBody is its whole body.
func EnvoyAnswerBody(text string) *extproc.ProcessingRequest {
	return &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseBody{ResponseBody: &extproc.HttpBody{Body: []byte(text), EndOfStream: true}}}
}

// HeaderIn is the value of a header that Envoy is to set; empty if it is not.
func HeaderIn(set []*core.HeaderValueOption, name string) string {
	for _, h := range set {
		if h.GetHeader().GetKey() == name {
			return string(h.GetHeader().GetRawValue())
		}
	}
	return ""
}

// Tape is a stream that plays messages and takes answers.
type Tape struct {
	grpc.ServerStream
	Ctx      context.Context //nolint:containedctx // it is a stream's
	Messages []*extproc.ProcessingRequest
	Last     *extproc.ProcessingResponse // that was answered
}

// Context implements grpc.ServerStream.
func (t *Tape) Context() context.Context { return t.Ctx }

// Send implements what a processor answers by.
func (t *Tape) Send(m *extproc.ProcessingResponse) error {
	t.Last = m
	_, err := proto.Marshal(m)
	return err
}

// Recv implements what a processor hears by; the stream ends with the last message.
func (t *Tape) Recv() (*extproc.ProcessingRequest, error) {
	if len(t.Messages) == 0 {
		return nil, io.EOF
	}
	m := t.Messages[0]
	t.Messages = t.Messages[1:]
	return m, nil
}
