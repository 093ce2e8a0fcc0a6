package integration

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
)

// process makes an exchange of external processing and times the way to its destination.
func (c *costing) process(replica int, body string) (time.Duration, error) {
	began := time.Now()
	e := c.open(replica, "tenant", body)
	if err := e.granted(); err != nil {
		return 0, err
	}
	took := time.Since(began)
	return took, e.finish()
}

// chunk has streams of answers pass, so many chunks each with a time between them, and returns
// the replicas' CPU time for one.
func (c *costing) chunk(streams, chunks int, between time.Duration) time.Duration {
	c.Helper()
	text := &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseBody{ResponseBody: &extproc.HttpBody{
		Body: []byte(`data: {"id":"cmpl-1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"word "}}]}` + "\n\n"),
	}}}
	var ready, done sync.WaitGroup
	ready.Add(streams)
	begin := make(chan struct{})
	for i := range streams {
		done.Go(func() {
			e := c.open(i%len(c.replicas), fmt.Sprint("tenant-", i), `{"model":"m","messages":[],"max_tokens":1,"stream":true}`)
			err := errors.Join(e.granted(), e.ask(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{
				Headers: headersOf(":status", "200", "content-type", "text/event-stream"),
			}}}))
			ready.Done()
			<-begin
			for range chunks {
				err = errors.Join(err, e.ask(text))
				time.Sleep(between)
			}
			if err != nil {
				c.Error(err)
			}
			_ = e.stream.CloseSend()
		})
	}
	ready.Wait()
	used := c.used()
	close(begin)
	done.Wait()
	return (c.used() - used) / time.Duration(streams*chunks)
}

// headersOf are pairs of names and values.
func headersOf(pairs ...string) *corev3.HeaderMap {
	h := &corev3.HeaderMap{}
	for i := 0; i < len(pairs); i += 2 {
		h.Headers = append(h.Headers, &corev3.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
	}
	return h
}

// processing is a request by external processing.
type processing struct {
	stream extproc.ExternalProcessor_ProcessClient
	err    error
}

// open sends a request's headers and body.
func (c *costing) open(replica int, tenant, body string) *processing {
	stream, err := c.clients[replica].Process(c.ctx)
	if err != nil {
		return &processing{err: err}
	}
	e := &processing{stream: stream}
	headers := headersOf(":method", "POST", ":path", "/v1/chat/completions", ":scheme", "http", "content-type", "application/json", "x-llm-d-inference-fairness-id", tenant)
	e.err = errors.Join(
		stream.Send(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: headers}}}),
		stream.Send(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: []byte(body), EndOfStream: true}}}))
	return e
}

// granted waits until the request may go.
func (e *processing) granted() error {
	for range 2 { // for its headers, and its body
		if e.err != nil {
			return e.err
		}
		var m *extproc.ProcessingResponse
		if m, e.err = e.stream.Recv(); e.err == nil && m.GetImmediateResponse() != nil {
			e.err = fmt.Errorf("refused: %v", m)
		}
	}
	return e.err
}

// ask sends a message and waits for the answer to it.
func (e *processing) ask(m *extproc.ProcessingRequest) error {
	if e.err != nil {
		return nil // said already
	}
	if e.err = e.stream.Send(m); e.err == nil {
		_, e.err = e.stream.Recv()
	}
	return e.err
}

// finish ends the request.
func (e *processing) finish() error {
	if e.err != nil {
		return e.err
	}
	if err := e.ask(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{EndOfStream: true}}}); err != nil {
		return err
	}
	_ = e.stream.CloseSend()
	if _, err := e.stream.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the stream goes on: %w", err)
	}
	return nil
}
