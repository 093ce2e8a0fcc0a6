package extproc

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// nothing is what a picker says that hangs.
func nothing(*extproc.ProcessingRequest) []*extproc.ProcessingResponse { return nil }

// asked is how many requests a picker was asked about.
func (p *Picker) asked() (n int) {
	p.Set(func(p *Picker) {
		for _, m := range p.Got {
			if m.GetRequestHeaders() != nil {
				n++
			}
		}
	})
	return n
}

// timely has requests be made by so many at a time, all of which must be let go by a picker, and
// returns how long each took, in order.
func (b *bench) timely(t *testing.T, requests, callers int) []time.Duration {
	t.Helper()
	left, took := make(chan struct{}, requests), make(chan time.Duration, requests)
	for range requests {
		left <- struct{}{}
	}
	close(left)
	for range callers {
		go func() {
			for range left {
				began := time.Now()
				if res, err := b.Do(t.Context(), post(whole(chat))); err != nil || res.Status != http.StatusOK || res.Immediate {
					t.Errorf("%+v, %v", res, err)
				}
				took <- time.Since(began)
			}
		}()
	}
	var all []time.Duration
	for range requests {
		all = append(all, <-took)
	}
	slices.Sort(all)
	return all
}

// introduce has pickers name a server, and each be asked: not while one is still dialled.
func (b *bench) introduce(t *testing.T, pickers ...*Picker) {
	t.Helper()
	for _, p := range pickers {
		p.Set(func(p *Picker) { p.To = []string{b.server(0)} })
	}
	for _, p := range pickers {
		for began := time.Now(); p.asked() == 0; b.timely(t, 2, 1) {
			if time.Since(began) > 30*time.Second {
				t.Fatal("a picker is not asked")
			}
		}
	}
}

// usable reports whether the metrics say that a picker can be used.
func (b *bench) usable(t *testing.T, p *Picker) bool {
	t.Helper()
	usable, known := b.known(t, p)
	if !known {
		t.Fatalf("no metric of %s", p.Address)
	}
	return usable
}

// leaves waits until the metrics know of a picker no more.
func (b *bench) leaves(t *testing.T, p *Picker) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, known := b.known(t, p); !known {
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%s is still used", p.Address)
		}
	}
}

// known reports whether the metrics know a picker, and say that it can be used.
func (b *bench) known(t *testing.T, p *Picker) (usable, known bool) {
	t.Helper()
	is, known := b.gauge(t, "weir_picker_usable")[p.Address]
	return is == 1, known
}

// gauge is what a metric of pickers says, by their addresses.
func (b *bench) gauge(t *testing.T, name string) map[string]float64 {
	t.Helper()
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(b.delegation.Pickers)
	all, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	is := make(map[string]float64)
	for _, family := range all {
		for _, m := range family.GetMetric() {
			if family.GetName() == name {
				is[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	return is
}

// TestPickerHangs has one of two pickers take requests and answer nothing, while it stays
// connected: none is refused, few are late, and it is asked again once it answers.
func TestPickerHangs(t *testing.T) {
	for what, callers := range map[string]int{"one after the other": 1, "eight at a time": 8} {
		t.Run(what, func(t *testing.T) {
			first, second := StartPicker(t, "127.0.0.1:0"), startPicker(t, "127.0.0.1:0", nil)
			b := before(t, 64, false, first.Address, second.Address)
			b.delegation.Timeout = 3 * time.Second
			b.introduce(t, first, second)
			second.Set(func(p *Picker) { p.Answers = nothing })
			before := second.asked()
			took := b.timely(t, 400, callers)
			asked, slowest := second.asked()-before, took[len(took)-1]
			t.Logf("the picker that hangs was asked about %d of %d requests, the slowest took %v", asked, len(took), slowest)
			// Eight until it is known to keep requests waiting, as many as came beside them, and one
			// for each time that it is tried, ever more seldom: seven in half a minute.
			if asked == 0 || asked > 8+8+7 || slowest >= b.delegation.Timeout {
				t.Errorf("a picker that hangs was asked about %d of %d requests, the slowest took %v", asked, len(took), slowest)
			}
			if b.usable(t, second) || !b.usable(t, first) {
				t.Error("the metrics do not say that the picker that hangs cannot be used, or say so of the other")
			}
			second.Set(func(p *Picker) { p.Answers = nil })
			for began, n := time.Now(), second.asked(); second.asked() < n+20; b.timely(t, 2, 1) {
				if time.Since(began) > 30*time.Second {
					t.Fatal("a picker that answers again is not asked")
				}
			}
			if !b.usable(t, second) {
				t.Error("the metrics do not say that the picker can be used again")
			}
			b.idle(t)
		})
	}
}

// TestOnlyPickerHangs has the only picker hang: once that is known, requests do not wait for it.
func TestOnlyPickerHangs(t *testing.T) {
	p := StartPicker(t, "127.0.0.1:0")
	b := before(t, 64, true, p.Address)
	b.delegation.Timeout = 500 * time.Millisecond
	p.Set(func(p *Picker) { p.Answers, p.To = nothing, []string{b.server(0)} })
	b.timely(t, 1, 1)
	if took := b.timely(t, 100, 1); took[90] > b.delegation.Timeout/2 {
		t.Errorf("the median of 100 requests took %v, a tenth of them %v and more", took[50], took[90])
	}
	p.Set(func(p *Picker) { p.Answers = nil })
	for began, n := time.Now(), p.asked(); p.asked() < n+20; b.timely(t, 2, 1) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("a picker that answers again is not asked")
		}
	}
}

// waits waits until so many requests wait.
func (b *bench) waits(t *testing.T, want int) {
	t.Helper()
	for began := time.Now(); b.controller.Waiting() != want; time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%d wait, want %d", b.controller.Waiting(), want)
		}
	}
}

// hold takes a slot of the pool until the function that it returns is called.
func (b *bench) hold(t *testing.T) (release func()) {
	t.Helper()
	r := &controller.Request{Flow: policies.FlowKey{ID: "other"}}
	if _, err := b.controller.EnqueueAndWait(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return func() { b.controller.Release(r, controller.Usage{}) }
}

// TestPickerOfFewStreams has a picker take fewer streams than there are requests: they wait in
// the queue and not before it, and the one whose turn it is gets a stream.
func TestPickerOfFewStreams(t *testing.T) {
	p := startPicker(t, "127.0.0.1:0", nil, grpc.MaxConcurrentStreams(2))
	b := before(t, 1, false, p.Address) // for each of two servers
	b.delegation.Timeout = 30 * time.Second
	b.introduce(t, p) // it has said how many it takes
	release := []func(){b.hold(t), b.hold(t)}
	order := make(chan string, 6)
	ask := func(objective string) {
		go func() {
			res, err := b.Do(t.Context(), post(whole(chat), "x-llm-d-inference-objective", objective))
			if err != nil || res.Status != http.StatusOK || res.Immediate {
				t.Errorf("%s: %+v, %v", objective, res, err)
			}
			order <- objective
		}()
	}
	for range 5 {
		ask("batch")
	}
	b.waits(t, 5)
	time.Sleep(20 * time.Millisecond) // they have opened what they can
	ask("user")
	b.waits(t, 6)
	release[0]()
	if first := <-order; first != "user" {
		t.Error("a request went before that of a higher priority")
	}
	for range 5 {
		<-order
	}
	release[1]()
	b.idle(t)
}

// TestPickerWithoutStreams has a picker's streams all be taken by requests that it does not
// answer: the others take no longer than its time.
func TestPickerWithoutStreams(t *testing.T) {
	p := startPicker(t, "127.0.0.1:0", nil, grpc.MaxConcurrentStreams(4))
	b := before(t, 8, true, p.Address)
	b.delegation.Timeout = time.Second
	b.introduce(t, p)
	p.Set(func(p *Picker) { p.Answers = nothing })
	if took := b.timely(t, 12, 12); took[11] > 3*b.delegation.Timeout/2 {
		t.Errorf("12 requests at once took %v; they are to go by themselves after %v", took, b.delegation.Timeout)
	}
	b.idle(t)
}

// TestPickersOfFewStreams has one of two pickers take few streams: the other takes the rest.
func TestPickersOfFewStreams(t *testing.T) {
	few, many := startPicker(t, "127.0.0.1:0", nil, grpc.MaxConcurrentStreams(1)), StartPicker(t, "127.0.0.1:0")
	b := before(t, 64, false, few.Address, many.Address)
	b.introduce(t, few, many)
	b.delegation.Timeout = 2 * time.Second
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 10)
	for range 10 { // each holds its stream
		go func() {
			_, err := b.Do(ctx, post(whole(chat), "x-slow", "after headers"))
			done <- err
		}()
	}
	b.load(t, 0, 10)
	close(b.release)
	for range 10 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	b.idle(t)
}

// TestPickerHangsForOne has one of two pickers not answer one request while it answers others: that
// request gets the other picker's answer, and the first stays in use.
func TestPickerHangsForOne(t *testing.T) {
	first, second := StartPicker(t, "127.0.0.1:0"), StartPicker(t, "127.0.0.1:0")
	b := before(t, 64, false, first.Address, second.Address)
	b.introduce(t, first, second)
	b.delegation.Timeout = 10 * time.Second // a busy machine may have all wait for a fifth of it
	stuck := make(chan struct{})
	first.Set(func(p *Picker) {
		var once sync.Once
		p.Answers = func(m *extproc.ProcessingRequest) []*extproc.ProcessingResponse {
			for _, line := range m.GetRequestHeaders().GetHeaders().GetHeaders() {
				if line.GetKey() == "x-odd" {
					once.Do(func() { close(stuck) })
					return nil
				}
			}
			return p.Answer(m)
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for began := time.Now(); time.Since(began) < 30*time.Second; {
			res, err := b.Do(t.Context(), Request{Method: "GET", Path: "/v1/models", Headers: map[string]string{"x-odd": "yes"}}) // of one message
			if err != nil || res.Status != http.StatusOK || res.Immediate {
				t.Errorf("the odd request: %+v, %v", res, err)
			}
			select {
			case <-stuck:
				return
			default: // it went by the other picker
			}
		}
		t.Error("the picker was not asked")
	}()
	for running := true; running; {
		b.timely(t, 4, 4)
		select {
		case <-done:
			running = false
		default:
		}
	}
	if !b.usable(t, first) {
		t.Error("a picker that answers others was taken out of use")
	}
	b.idle(t)
}
