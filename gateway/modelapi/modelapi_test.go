package modelapi

import (
	"fmt"
	"io"
	"net/http"
	"slices"
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
	u := NewAnswer(io.NopCloser(source), contentType, &Request{InputTokens: 7, mostInput: 1000, CachedWeight: 0.1}, nil)
	passed, err := io.ReadAll(u)
	if err != nil || string(passed) != body {
		t.Fatalf("the body was not passed through: %v", err)
	}
	return u.Usage()
}

func TestUsage(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	for _, c := range []struct {
		name, typ, body string
		want            controller.Usage
	}{
		{"chat", "application/json", `{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}`, controller.Usage{InputTokens: 3, OutputTokens: 4, Known: true}},
		{"responses", "application/json", `{"usage": {"input_tokens":3,"output_tokens":4},"id":"x"}`, controller.Usage{InputTokens: 3, OutputTokens: 4, Known: true}},
		{"embeddings", "application/json", `{"data":["` + long + `"],"usage":{"prompt_tokens":9}}`, controller.Usage{InputTokens: 9, Known: true}},
		{"before much else", "application/json", `{"usage":{"prompt_tokens":9,"completion_tokens":4},"prompt_logprobs":[{"1":{"decoded_token":"` + long + `","usage":{"prompt_tokens":1}}}],"x":"\\"}`, controller.Usage{InputTokens: 9, OutputTokens: 4, Known: true}},
		{"of something within", "application/json", `{"echo":{"usage":{"prompt_tokens":1}},"usage" : {"prompt_tokens":9} , "metadata":{"usage":"}"}}`, controller.Usage{InputTokens: 9, Known: true}},
		{"said again", "application/json", `{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":9}}`, controller.Usage{InputTokens: 9, Known: true}},
		{"null", "application/json", `{"usage":null}`, controller.Usage{}},
		{"too long", "application/json", `{"usage":{"x":"` + long + `","prompt_tokens":9}}`, controller.Usage{}},
		{"an array", "application/json", `[{"usage":{"prompt_tokens":9}}]`, controller.Usage{}},
		{"in the text only", "application/json", `{"text":"\"usage\":{\"prompt_tokens\":3}"}`, controller.Usage{}},
		{"none", "application/json", `{}`, controller.Usage{}},
		{"claims too much", "application/json", `{"usage":{"prompt_tokens":-5,"completion_tokens":4000000000000000}}`, controller.Usage{OutputTokens: unboundedOutput, Known: true}},
		{"stream", "text/event-stream; charset=utf-8", "data: {\"choices\":[1]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n", controller.Usage{InputTokens: 3, OutputTokens: 4, Known: true}},
		{"stream with usage null", "text/event-stream", "data: {\"usage\":null}\n\ndata: {\"usage\":null}\n\ndata: [DONE]\n\n", controller.Usage{InputTokens: 7, OutputTokens: 2, Known: true}},
		{"stream without usage", "text/event-stream", ": comment\n\ndata: {}\r\n\r\ndata: {}\r\n\r\ndata: {}", controller.Usage{InputTokens: 7, OutputTokens: 3, Known: true}},
		{"left before its last event", "text/event-stream", "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":0}}}\n\n" + strings.Repeat("data: {\"delta\":{\"text\":\"x\"}}\n\n", 600), controller.Usage{InputTokens: 3, OutputTokens: 600, Known: true}},
		{"continuous", "text/event-stream", "data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\ndata: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":9}}\n\ndata: {}\n\n", controller.Usage{InputTokens: 3, OutputTokens: 10, Known: true}},
		{"cached, OpenAI's", "application/json", `{"usage":{"prompt_tokens":100,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":80}}}`, controller.Usage{InputTokens: 28, OutputTokens: 4, Known: true}},
		{"cached, Responses'", "application/json", `{"usage":{"input_tokens":100,"output_tokens":4,"input_tokens_details":{"cached_tokens":80}}}`, controller.Usage{InputTokens: 28, OutputTokens: 4, Known: true}},
		{"cached, Anthropic's", "application/json", `{"usage":{"input_tokens":10,"cache_read_input_tokens":80,"cache_creation_input_tokens":10,"output_tokens":4}}`, controller.Usage{InputTokens: 28, OutputTokens: 4, Known: true}},
		{"claims a cache of anything", "application/json", `{"usage":{"prompt_tokens":10,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":1000000000000}}}`, controller.Usage{InputTokens: 100, OutputTokens: 4, Known: true}},
		{"claims a prompt of anything", "application/json", `{"usage":{"prompt_tokens":1000000000000,"completion_tokens":4}}`, controller.Usage{InputTokens: 1000, OutputTokens: 4, Known: true}},
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

// FuzzRequest wants any body to be taken or refused with a clear answer.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"model":"simulated","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}`))
	f.Add([]byte(`{"model":"","max_tokens":-1}`))
	f.Add([]byte(`{"model":"m","max_tokens":1e300,"n":1e300,"prompt":["a","b"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		in := &Request{Body: body}
		refused := in.Read("POST", "/v1/chat/completions")
		switch {
		case refused != nil:
			if refused.Status < 400 || refused.Message == "" {
				t.Errorf("refused with %+v", refused)
			}
		case in.Model == "" || in.InputTokens < 1 || in.OutputTokens < 1 || in.mostOutput < 0 || in.OutputTokens > MaxTokens || in.mostOutput > MaxTokens:
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
		{`{"model":"m","max_tokens":1e300,"n":1e300}`, MaxTokens, MaxTokens},
		{`{"m\u006fdel":"m","max\u005ftokens":3}`, 3, 3},
	} {
		in := &Request{Body: []byte(c.body)}
		if refused := in.Read("POST", "/v1/completions"); refused != nil {
			t.Errorf("%s: %v", c.body, refused)
			continue
		}
		if in.OutputTokens != c.output || in.mostOutput != c.most {
			t.Errorf("%s: %d tokens expected and %d at most, want %d and %d", c.body, in.OutputTokens, in.mostOutput, c.output, c.most)
		}
	}
	for _, body := range []string{`{"model":"m","max_tokens":5.5}`, `{"model":"m","max_tokens":[]}`, `{"model":7}`, `{"MODEL":"m"}`} {
		in := &Request{Body: []byte(body)}
		if refused := in.Read("POST", "/v1/completions"); refused == nil || refused.Status != 400 {
			t.Errorf("%s is taken", body)
		}
	}
}

// TestAnswersAreBounded wants an answer to cost no more than its request allows, whatever
// its server says, and no less than was streamed.
func TestAnswersAreBounded(t *testing.T) {
	in := &Request{Body: []byte(`{"model":"m","max_tokens":10,"n":2}`)}
	if refused := in.Read("POST", "/v1/completions"); refused != nil {
		t.Fatal(refused)
	}
	u := NewAnswer(nil, "application/json", in, nil)
	u.Take([]byte(`{"usage":{"prompt_tokens":1,"completion_tokens":1000000000000}}`))
	if u.Finish(); u.Usage().OutputTokens != 20 {
		t.Errorf("%+v for 2 answers of 10 tokens", u.Usage())
	}
	u = NewAnswer(nil, "text/event-stream", in, nil)
	u.Take([]byte(strings.Repeat("data: {}\n\n", 30)))
	if u.Finish(); u.Usage().OutputTokens != 30 {
		t.Errorf("%+v for 30 events", u.Usage())
	}
}

// TestProgressOfContinuousUsage wants usage that is said as it comes to be charged so.
func TestProgressOfContinuousUsage(t *testing.T) {
	var told []int64
	u := NewAnswer(nil, "text/event-stream", &Request{OutputTokens: 100, mostInput: 10}, func(u controller.Usage) { told = append(told, u.OutputTokens) })
	for i := range 400 {
		u.Take(fmt.Appendf(nil, "data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":%d}}\n\n", i+1))
	}
	if !slices.Equal(told, []int64{164, 228, 292, 356}) {
		t.Errorf("told at %v", told)
	}
}

// TestModelAt finds the text of the model in bodies.
func TestModelAt(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"a","prompt":"model"}`:                          `"a" 1`,
		`{ "prompt" : {"model":"a"}, "mo\u0064el" : "b" , "n":1}`: `"b" 1`,
		`{"model":"a","model":"x"}`:                               `"x" 2`,
		`{"prompt":"a"}`:                                          ` 0`,
		`{"model":"a"`:                                            ` 0`,
		`[]`:                                                      ` 0`,
		``:                                                        ` 0`,
	} {
		from, to, times := ModelAt([]byte(body))
		if got := fmt.Sprintf("%s %d", body[from:to], times); got != want {
			t.Errorf("%s has %s, want %s", body, got, want)
		}
	}
}

// BenchmarkBody reads what matters of a body of 4 kB: text in paragraphs.
func BenchmarkBody(b *testing.B) {
	text := strings.Repeat(strings.Repeat("A sentence of a prompt, and \\\"another\\\". ", 8)+"\\n\\n", 12)
	body := []byte(`{"model":"m","stream":true,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"` + text + `"}],"max_tokens":100}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		in := Request{Body: body}
		if refused := in.Read(http.MethodPost, "/v1/chat/completions"); refused != nil || in.mostOutput != 100 {
			b.Fatal(refused)
		}
	}
}

// TestExpected wants no longer an answer expected than the request allows.
func TestExpected(t *testing.T) {
	r := &Request{mostOutput: 50}
	if r.Expect(200); r.OutputTokens != 50 {
		t.Errorf("%d tokens expected of a request that allows 50", r.OutputTokens)
	}
}
