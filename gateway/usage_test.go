package gateway

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/weirflow/weir/controller"
)

func readUsage(t testing.TB, body, contentType string, oneByte bool) controller.Usage {
	t.Helper()
	var source io.Reader = strings.NewReader(body)
	if oneByte {
		source = iotest.OneByteReader(source)
	}
	u := newUsageReader(io.NopCloser(source), contentType, &inbound{inputTokens: 7}, nil)
	passed, err := io.ReadAll(u)
	if err != nil || string(passed) != body {
		t.Fatalf("the body was not passed through: %v", err)
	}
	return u.usage
}

func TestUsage(t *testing.T) {
	long := strings.Repeat("x", 3*maxTail)
	for _, c := range []struct {
		name, typ, body string
		want            controller.Usage
	}{
		{"chat", "application/json", `{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}`, controller.Usage{InputTokens: 3, OutputTokens: 4, Known: true}},
		{"responses", "application/json", `{"usage": {"input_tokens":3,"output_tokens":4},"id":"x"}`, controller.Usage{InputTokens: 3, OutputTokens: 4, Known: true}},
		{"embeddings", "application/json", `{"data":["` + long + `"],"usage":{"prompt_tokens":9}}`, controller.Usage{InputTokens: 9, Known: true}},
		{"in the text only", "application/json", `{"text":"\"usage\":{\"prompt_tokens\":3}"}`, controller.Usage{}},
		{"none", "application/json", `{}`, controller.Usage{}},
		{"claims too much", "application/json", `{"usage":{"prompt_tokens":-5,"completion_tokens":4000000000000000}}`, controller.Usage{OutputTokens: 1 << 40, Known: true}},
		{"stream", "text/event-stream; charset=utf-8", "data: {\"choices\":[1]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n", controller.Usage{InputTokens: 3, OutputTokens: 4, Known: true}},
		{"stream with usage null", "text/event-stream", "data: {\"usage\":null}\n\ndata: {\"usage\":null}\n\ndata: [DONE]\n\n", controller.Usage{InputTokens: 7, OutputTokens: 2, Known: true}},
		{"stream without usage", "text/event-stream", ": comment\n\ndata: {}\r\n\r\ndata: {}\r\n\r\ndata: {}", controller.Usage{InputTokens: 7, OutputTokens: 3, Known: true}},
		{"response.completed", "text/event-stream", "event: response.completed\ndata: {\"response\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":6}}}\n\n", controller.Usage{InputTokens: 5, OutputTokens: 6, Known: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, oneByte := range []bool{false, true} {
				if got := readUsage(t, c.body, c.typ, oneByte); got != c.want {
					t.Errorf("byte by byte %v: %+v, want %+v", oneByte, got, c.want)
				}
			}
		})
	}
}

// FuzzUsage wants bodies passed through whole, whatever they hold, and the same
// usage read from them however they are cut.
func FuzzUsage(f *testing.F) {
	f.Add("data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n", true)
	f.Add(`{"usage":{"prompt_tokens":1}}`, false)
	f.Fuzz(func(t *testing.T, body string, stream bool) {
		typ := "application/json"
		if stream {
			typ = "text/event-stream"
		}
		if a, b := readUsage(t, body, typ, false), readUsage(t, body, typ, true); a != b {
			t.Errorf("whole %+v, byte by byte %+v", a, b)
		}
	})
}

// FuzzInbound wants any body to be taken or refused with a clear answer.
func FuzzInbound(f *testing.F) {
	f.Add([]byte(chat))
	f.Add([]byte(`{"model":"","max_tokens":-1}`))
	f.Add([]byte(`{"model":"m","max_tokens":1e300,"n":1e300,"prompt":["a","b"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		in := &inbound{body: body}
		refused := in.check("POST", "/v1/chat/completions")
		switch {
		case refused != nil:
			if refused.status < 400 || refused.message == "" {
				t.Errorf("refused with %+v", refused)
			}
		case in.model == "" || in.inputTokens < 1 || in.outputTokens < 1 || in.mostOutput < 0 || in.outputTokens > maxTokens || in.mostOutput > maxTokens:
			t.Errorf("taken as %+v", in)
		}
	})
}

// TestEstimates wants a request's own words to be read as a model server reads them.
func TestEstimates(t *testing.T) {
	for _, c := range []struct {
		body         string
		output, most int64
	}{
		{`{"model":"m","max_tokens":600,"MAX_TOKENS":1}`, 256, 600},
		{`{"Model":"x","model":"m","max_tokens":60,"Max_Tokens":1,"mAx_ToKens":1}`, 60, 60},
		{`{"model":"m","max_tokens":5.0}`, 5, 5},
		{`{"model":"m","max_tokens":1e2}`, 100, 100},
		{`{"model":"m","max_tokens":"7"}`, 7, 7},
		{`{"model":"m","max_tokens":null}`, 256, 0},
		{`{"model":"m","max_completion_tokens":600,"max_tokens":1}`, 256, 600},
		{`{"model":"m","max_tokens":10,"n":4}`, 40, 40},
		{`{"model":"m","max_tokens":10,"prompt":["a","b","c"]}`, 30, 30},
		{`{"model":"m","max_tokens":10,"prompt":[["a",1],["b"]],"n":2}`, 40, 40},
		{`{"model":"m","max_tokens":10,"prompt":[1,2,3]}`, 10, 10},
		{`{"model":"m","max_tokens":1e300,"n":1e300}`, maxTokens, maxTokens},
		{`{"m\u006fdel":"m","max\u005ftokens":3}`, 3, 3},
	} {
		in := &inbound{body: []byte(c.body)}
		if refused := in.check("POST", "/v1/completions"); refused != nil {
			t.Errorf("%s: %v", c.body, refused)
			continue
		}
		if in.outputTokens != c.output || in.mostOutput != c.most {
			t.Errorf("%s: %d tokens expected and %d at most, want %d and %d", c.body, in.outputTokens, in.mostOutput, c.output, c.most)
		}
	}
	for _, body := range []string{`{"model":"m","max_tokens":5.5}`, `{"model":"m","max_tokens":[]}`, `{"model":7}`, `{"MODEL":"m"}`} {
		in := &inbound{body: []byte(body)}
		if refused := in.check("POST", "/v1/completions"); refused == nil || refused.status != 400 {
			t.Errorf("%s is taken", body)
		}
	}
}
