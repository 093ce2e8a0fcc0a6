package envoy

import (
	"net/http"
	"strconv"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/refusal"
)

// Where a message names the chosen endpoint for Envoy, and Envoy the endpoints to choose from.
const (
	destinationKey  = "x-gateway-destination-endpoint"
	destinationMeta = "envoy.lb"
	subsetKey       = "x-gateway-destination-endpoint-subset"
	subsetMeta      = "envoy.lb.subset_hint"
	requestIDKey    = "x-request-id"
	servedKey       = "x-gateway-destination-endpoint-served"
)

// maxChunk is how much of a body goes in one message: Envoy takes 64 kB.
const maxChunk = 62_000

// subsetTexts are the lists of the endpoints that may be picked, with commas between them; nil for all.
func subsetTexts(m *extproc.ProcessingRequest) []string {
	hint := m.GetMetadataContext().GetFilterMetadata()[subsetMeta].GetFields()[subsetKey]
	if hint == nil {
		return nil
	}
	list := hint.GetListValue()
	if list == nil {
		return []string{hint.GetStringValue()}
	}
	texts := make([]string, 0, len(list.GetValues()))
	for _, v := range list.GetValues() {
		texts = append(texts, v.GetStringValue())
	}
	return texts
}

// subsetOf is which endpoints may be picked, of such lists; nil for all.
func subsetOf(texts []string) map[string]bool {
	if texts == nil {
		return nil
	}
	subset := make(map[string]bool)
	for _, text := range texts {
		for address := range strings.SplitSeq(text, ",") {
			subset[strings.TrimSpace(address)] = true
		}
	}
	return subset
}

// poolOf is the name of the pool that a request is for, as Envoy says it in the header or the
// attribute that it is to be in; empty if it does not.
func poolOf(m *extproc.ProcessingRequest, cfg *Config) (name string) {
	if cfg.PoolHeader != "" {
		for _, h := range m.GetRequestHeaders().GetHeaders().GetHeaders() {
			if strings.EqualFold(h.GetKey(), cfg.PoolHeader) {
				name = valueOf(h) // the last one is Envoy's
			}
		}
	}
	if name != "" || cfg.PoolAttribute == "" {
		return name
	}
	for _, attributes := range m.GetAttributes() {
		if v := attributes.GetFields()[cfg.PoolAttribute].GetStringValue(); v != "" {
			return v
		}
	}
	return ""
}

// servedBy is the endpoint that answered, as Envoy's load balancer reports with the
// response; empty if it does not.
func servedBy(m *extproc.ProcessingRequest) string {
	served := m.GetMetadataContext().GetFilterMetadata()[destinationMeta].GetFields()[servedKey].GetStringValue()
	for _, h := range m.GetResponseHeaders().GetHeaders().GetHeaders() {
		if served == "" && h.GetKey() == servedKey {
			served = valueOf(h)
		}
	}
	return served
}

// connectionFailure is why no endpoint could be connected to, as Envoy reports in the
// attribute response.code_details; empty if one could, or if Envoy does not send it.
func connectionFailure(m *extproc.ProcessingRequest) string {
	for _, attributes := range m.GetAttributes() {
		details := attributes.GetFields()["response.code_details"].GetStringValue()
		if strings.Contains(details, "connection_failure") || strings.Contains(details, "connection_timeout") {
			return details
		}
	}
	return ""
}

func header(key, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{
		Header:       &core.HeaderValue{Key: key, RawValue: []byte(value)},
		AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// requestHeaders lets a request go to the addresses, the first of them if it can be
// reached. Headers for flow control are removed.
func requestHeaders(id string, addresses []string, dropKey bool) *extproc.ProcessingResponse {
	to := strings.Join(addresses, ",")
	var control []string
	for _, name := range headers.Control() {
		control = append(control, strings.ToLower(name))
	}
	if dropKey {
		for _, name := range headers.Keys {
			control = append(control, strings.ToLower(name))
		}
	}
	for _, name := range headers.Routing() { // which are set anew after
		control = append(control, strings.ToLower(name))
	}
	set := []*core.HeaderValueOption{header(destinationKey, to), header(requestIDKey, id)}
	mutation := &extproc.HeaderMutation{SetHeaders: set, RemoveHeaders: control}
	askPlain(mutation)
	return &extproc.ProcessingResponse{
		Response: &extproc.ProcessingResponse_RequestHeaders{RequestHeaders: &extproc.HeadersResponse{Response: &extproc.CommonResponse{
			HeaderMutation:  mutation,
			ClearRouteCache: true,
		}}},
		DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			destinationMeta: structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{destinationKey: structpb.NewStringValue(to)}}),
		}},
	}
}

// letThrough lets a request go wherever Envoy sends it.
func letThrough(dropKey bool) *extproc.ProcessingResponse {
	headers := &extproc.HeadersResponse{}
	if dropKey {
		dropKeys(mutation(headers))
	}
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestHeaders{RequestHeaders: headers}}
}

// mutation is what Envoy is to do with headers, to be added to.
func mutation(h *extproc.HeadersResponse) *extproc.HeaderMutation {
	if h.Response == nil {
		h.Response = &extproc.CommonResponse{}
	}
	if h.Response.HeaderMutation == nil {
		h.Response.HeaderMutation = &extproc.HeaderMutation{}
	}
	return h.Response.HeaderMutation
}

// setHeader has Envoy set one more of the request's headers.
func setHeader(m *extproc.ProcessingResponse, name, value string) {
	in := mutation(m.GetRequestHeaders())
	in.SetHeaders = append(in.SetHeaders, header(strings.ToLower(name), value))
}

// dropKeys has Envoy take API keys out of the request, whatever a picker does with it.
func dropKeys(in *extproc.HeaderMutation) {
	for _, name := range headers.Keys {
		in.RemoveHeaders = append(in.RemoveHeaders, strings.ToLower(name))
	}
}

// askPlain has the model server not compress its answer, in which usage is read.
func askPlain(in *extproc.HeaderMutation) {
	in.SetHeaders = append(in.SetHeaders, header(strings.ToLower(headers.Encoding), headers.Plain))
}

func streamed(body []byte, last bool) *extproc.BodyResponse {
	return &extproc.BodyResponse{Response: &extproc.CommonResponse{BodyMutation: &extproc.BodyMutation{
		Mutation: &extproc.BodyMutation_StreamedResponse{StreamedResponse: &extproc.StreamedBodyResponse{Body: body, EndOfStream: last}},
	}}}
}

// requestBody is the whole body, in messages that Envoy takes.
func requestBody(body []byte, trailers bool) (messages []*extproc.ProcessingResponse) {
	for {
		n := min(len(body), maxChunk)
		last := n == len(body)
		messages = append(messages, &extproc.ProcessingResponse{
			Response: &extproc.ProcessingResponse_RequestBody{RequestBody: streamed(body[:n], last && !trailers)},
		})
		if body = body[n:]; last {
			return messages
		}
	}
}

func requestTrailers() *extproc.ProcessingResponse {
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestTrailers{RequestTrailers: &extproc.TrailersResponse{}}}
}

func responseHeaders(r *gateway.Record) *extproc.ProcessingResponse {
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extproc.HeadersResponse{
		Response: &extproc.CommonResponse{HeaderMutation: &extproc.HeaderMutation{SetHeaders: recorded(r), RemoveHeaders: onlyOwn}},
	}}}
}

// recorded are the headers that every answer has.
func recorded(r *gateway.Record) (set []*core.HeaderValueOption) {
	r.Headers(func(name, value string) { set = append(set, header(strings.ToLower(name), value)) }, func(name, value string) {
		added := header(strings.ToLower(name), value)
		added.AppendAction = core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
		set = append(set, added)
	})
	return set
}

// onlyOwn are headers that only a gateway's own answers have.
var onlyOwn = []string{refusal.ByHeader}

func responseTrailers() *extproc.ProcessingResponse {
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extproc.TrailersResponse{
		HeaderMutation: &extproc.HeaderMutation{RemoveHeaders: onlyOwn},
	}}}
}

// immediate is a refusal that Envoy answers with, without asking an endpoint.
func immediate(told *gateway.Record, r *refusal.Refusal) *extproc.ProcessingResponse {
	headers, body := r.Answer()
	return immediately(told, r.Status, headers, body, r.Code)
}

// immediately is an answer that Envoy gives without asking an endpoint; the code is for its log.
func immediately(told *gateway.Record, status int, headers http.Header, body []byte, code string) *extproc.ProcessingResponse {
	set := recorded(told)
	for _, name := range []string{"Content-Type", refusal.ByHeader, refusal.ReasonHeader, "Retry-After"} {
		if value := headers.Get(name); value != "" {
			set = append(set, header(strings.ToLower(name), value))
		}
	}
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extproc.ImmediateResponse{
		Status: &typev3.HttpStatus{Code: typev3.StatusCode(status)}, Headers: &extproc.HeaderMutation{SetHeaders: set},
		Body: body, Details: "weir_" + strconv.Itoa(status) + "_" + code,
	}}}
}
