package gateway_test

import (
	"net/http"
	"strconv"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
)

// envoyHead begins a chat of that id, with further headers, names and values in turns.
func envoyHead(id string, headers ...string) *extproc.ProcessingRequest {
	all := []*core.HeaderValue{{Key: ":method", Value: http.MethodPost}, {Key: ":path", Value: "/v1/chat/completions"}, {Key: "x-request-id", Value: id}}
	for i := 0; i+1 < len(headers); i += 2 {
		all = append(all, &core.HeaderValue{Key: headers[i], Value: headers[i+1]})
	}
	return &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{Headers: all}}}}
}

func envoyBody(text string) *extproc.ProcessingRequest {
	return &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: []byte(text), EndOfStream: true}}}
}

func envoyAnswer(status int) *extproc.ProcessingRequest {
	return &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{
		Headers: &core.HeaderMap{Headers: []*core.HeaderValue{{Key: ":status", Value: strconv.Itoa(status)}}},
	}}}
}

func envoyAnswerBody(text string) *extproc.ProcessingRequest {
	return &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseBody{ResponseBody: &extproc.HttpBody{Body: []byte(text), EndOfStream: true}}}
}

// headerIn is the value of a header that Envoy is to set; empty if it is not.
func headerIn(set []*core.HeaderValueOption, name string) string {
	for _, h := range set {
		if h.GetHeader().GetKey() == name {
			return string(h.GetHeader().GetRawValue())
		}
	}
	return ""
}
