package extproc

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/picker"
	"github.com/weirflow/weir/internal/certtest"
)

// hosts are the addresses of a host name.
type hosts struct {
	mu    sync.Mutex
	at    []string
	asked int // how often they were
}

func (h *hosts) set(at ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = at
}

func (h *hosts) times() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

func (h *hosts) resolve(_ context.Context, host string) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	if host != "epp.default.svc" && host != "alias.default.svc" || len(h.at) == 0 {
		return nil, errors.New("no such host")
	}
	return h.at, nil
}

// named are two pickers at one port, which a name has, and requests before them.
func named(t *testing.T) (b *bench, at *hosts, first, second *Picker) {
	t.Helper()
	first = StartPicker(t, "127.0.0.1:0")
	_, port, err := net.SplitHostPort(first.Address)
	if err != nil {
		t.Fatal(err)
	}
	second = startPicker(t, "127.0.0.2:"+port, nil)
	at = &hosts{at: []string{"127.0.0.1", "127.0.0.2"}}
	b = beforePickers(t, 64, false, flows.Timeouts{}, picker.Config{Addresses: []string{"epp.default.svc:" + port}, Resolve: at.resolve, Every: 50 * time.Millisecond})
	b.introduce(t, first, second)
	return b, at, first, second
}

// TestPickerOfNameHangs has one of a name's two addresses hang: it alone is taken out of use.
func TestPickerOfNameHangs(t *testing.T) {
	b, _, first, second := named(t)
	b.delegation.Timeout = 2 * time.Second
	second.Set(func(p *Picker) { p.Answers = nothing })
	b.timely(t, 100, 4)
	if !b.usable(t, first) || b.usable(t, second) {
		t.Error("the picker that answers is out of use, or the one that hangs is not")
	}
	b.idle(t)
}

// TestPickersOfName has a name's addresses change: requests go to those that it has, and one that
// was given to a picker which is gone from it ends there.
func TestPickersOfName(t *testing.T) {
	b, at, first, second := named(t)
	at.set("127.0.0.1")
	b.leaves(t, second)
	done := make(chan error, 1)
	go func() {
		res, err := b.Do(t.Context(), post(whole(chat), "x-slow", "after headers"))
		if err == nil && (res.Status != http.StatusOK || res.Immediate) {
			err = errors.New("it was refused")
		}
		done <- err
	}()
	b.load(t, 0, 1)
	at.set("127.0.0.2")
	b.leaves(t, first)
	before := first.asked()
	b.timely(t, 20, 4)
	if n := first.asked(); n != before {
		t.Errorf("a picker that is gone from its name was asked about %d requests", n-before)
	}
	at.set() // no name server answers: those that there are stay
	time.Sleep(200 * time.Millisecond)
	b.timely(t, 4, 1)
	close(b.release)
	if err := <-done; err != nil {
		t.Errorf("a request whose picker is gone: %v", err)
	}
	b.idle(t)
}

// TestPickerOfNameProvesIt has a picker show a certificate of its address alone: by its name it is
// not believed, unless that is what its certificate must have.
func TestPickerOfNameProvesIt(t *testing.T) {
	ca := certtest.New(t)
	shown, err := tls.LoadX509KeyPair(ca.Issue("picker"))
	if err != nil {
		t.Fatal(err)
	}
	p := startPicker(t, "127.0.0.1:0", nil, grpc.Creds(credentials.NewServerTLSFromCert(&shown)))
	_, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		t.Fatal(err)
	}
	at := &hosts{at: []string{"127.0.0.1"}}
	for must, within := range map[string]time.Duration{"": time.Second, "127.0.0.1": 30 * time.Second} {
		pickers, err := picker.New(picker.Config{
			Addresses: []string{"epp.default.svc:" + port}, Resolve: at.resolve, TLS: &tls.Config{RootCAs: ca.Pool(), ServerName: must, MinVersion: tls.VersionTLS12},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), within)
		if err := pickers.Await(ctx); (err == nil) != (must != "") {
			t.Errorf("whose certificate must have %q: %v", must, err)
		}
		cancel()
		pickers.Close()
	}
}

// TestAddressNeverConnected has a name with an address that nothing listens at, as where localhost is
// ::1 too: that is told, and is no picker that was lost, for as long as another of the name can be used.
func TestAddressNeverConnected(t *testing.T) {
	first := StartPicker(t, "127.0.0.1:0")
	_, port, err := net.SplitHostPort(first.Address)
	if err != nil {
		t.Fatal(err)
	}
	at := &hosts{at: []string{"127.0.0.1", "127.0.0.2"}}
	b := beforePickers(t, 64, false, flows.Timeouts{}, picker.Config{Addresses: []string{"epp.default.svc:" + port}, Resolve: at.resolve, Every: time.Minute})
	b.introduce(t, first)
	stand := func(is, other picker.State, when string) {
		t.Helper()
		want := map[string]picker.State{first.Address: is, "127.0.0.2:" + port: other}
		for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			got := make(map[string]picker.State)
			for _, s := range b.delegation.Pickers.Status() {
				got[s.Address] = s.State
			}
			never := b.gauge(t, "weir_picker_never_connected")
			switch {
			case maps.Equal(got, want) && (never["127.0.0.2:"+port] == 1) == (other == picker.NeverConnected) && never[first.Address] == 0:
				return
			case time.Since(began) > 30*time.Second:
				t.Fatalf("%s: they stand as %v with %v as never connected, want %v", when, got, never, want)
			}
		}
	}
	stand(picker.InUse, picker.NeverConnected, "one listens")
	before := at.times()
	b.timely(t, 20, 4)
	time.Sleep(2200 * time.Millisecond)
	if n := at.times() - before; n > 1 { // the pause may have begun before it was connected
		t.Errorf("while each picker is connected that ever was, the name was looked up %d times in 2.2 s, not once a minute", n)
	}
	second := startPicker(t, "127.0.0.2:"+port, nil)
	stand(picker.InUse, picker.InUse, "both listen")
	second.Server.Stop()
	stand(picker.InUse, picker.Unreachable, "one was lost")
	first.Server.Stop()
	stand(picker.Unreachable, picker.Unreachable, "both were lost")
}

// TestPickerHasTwoNames has two names be of the same pickers: these are told of once, and nothing is amiss.
func TestPickerHasTwoNames(t *testing.T) {
	first := StartPicker(t, "127.0.0.1:0")
	_, port, err := net.SplitHostPort(first.Address)
	if err != nil {
		t.Fatal(err)
	}
	at := &hosts{at: []string{"127.0.0.1"}}
	b := beforePickers(t, 64, false, flows.Timeouts{}, picker.Config{
		Addresses: []string{"epp.default.svc:" + port, "alias.default.svc:" + port}, Resolve: at.resolve, Every: time.Minute,
	})
	b.introduce(t, first)
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if all := b.delegation.Pickers.Status(); len(all) == 1 && all[0].State == picker.InUse {
			break
		} else if time.Since(began) > 30*time.Second {
			t.Fatalf("one picker that has two names is told of as %+v", all)
		}
	}
	before := at.times()
	time.Sleep(2200 * time.Millisecond)
	if n := at.times() - before; n > 2 { // a pause of each may have begun before it was connected
		t.Errorf("two names whose picker is connected were looked up %d times in 2.2 s, not once a minute", n)
	}
}

// TestNameNeverConnected has nothing listen at any of a name's addresses: each is out of reach.
func TestNameNeverConnected(t *testing.T) {
	at := &hosts{at: []string{"127.0.0.1", "127.0.0.2"}}
	pickers, err := picker.New(picker.Config{Addresses: []string{"epp.default.svc:1"}, Resolve: at.resolve})
	if err != nil {
		t.Fatal(err)
	}
	defer pickers.Close()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		all := pickers.Status()
		if len(all) == 2 && all[0].State == picker.Unreachable && all[1].State == picker.Unreachable && all[0].Error != "" && all[1].Error != "" {
			return
		} else if time.Since(began) > 30*time.Second {
			t.Fatalf("pickers: %+v", all)
		}
	}
}
