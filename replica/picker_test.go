package replica_test

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/certtest"
	"github.com/weirflow/weir/test/extproc"
)

// processing is the address at which a replica serves external processing.
func (r *running) processing() string {
	return r.logs.FilterMessage("serving").All()[0].ContextMap()["ext_proc"].(string)
}

// TestPicker has a replica put another one before it, which chooses, by TLS.
func TestPicker(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.New(t)
	cert, key := ca.Issue("picker")
	behind := start(t, "", map[string]string{"ext-proc": "127.0.0.1:0", "ext-proc-cert": cert, "ext-proc-key": key, "replica-id": "behind"})
	file := filepath.Join(dir, "weir.yaml")
	write(t, file, config.Empty+`plugins: [{type: decode-filter}, {type: disagg-profile-handler}]
schedulingProfiles: [{name: prefill}, {name: decode}]
weir: {extProc: {listen: "127.0.0.1:0", picker: {addresses: ["`+behind.processing()+`"], ca: `+ca.File+`}}}
`)
	front := start(t, file, nil)
	conn, err := grpc.NewClient("passthrough:///"+front.processing(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // at the end
	envoy := extproc.New(conn)
	defer envoy.Close()
	ask := func() (*extproc.Response, error) {
		return envoy.Do(t.Context(), extproc.Request{Method: "POST", Path: "/v1/completions", Body: [][]byte{[]byte(`{"model":"m","prompt":"hi"}`)}})
	}
	res, err := ask()
	if err != nil || res.Status != http.StatusOK || len(res.Endpoints) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	metrics, err := http.Get(front.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(metrics.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := `weir_picker_usable{picker="` + behind.processing() + `"} 1`; !strings.Contains(string(text), want) {
		t.Errorf("the metrics do not say %s", want)
	}
	operator := api.Client{Address: front.admin}
	told := func() api.Picker {
		all, err := operator.Pickers(t.Context(), api.Query{})
		if err != nil || len(all.Pickers) != 1 || all.Pickers[0].Address != behind.processing() {
			t.Fatalf("pickers: %+v, %v", all, err)
		}
		return all.Pickers[0]
	}
	if p := told(); p.State != "in_use" || p.Asked != 1 || p.Failed != 0 || p.Error != "" || len(p.Replicas) != 1 || p.Replicas[0].AnsweredMS == nil {
		t.Errorf("a picker that answers is told of as %+v", p)
	}
	if err := behind.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is told why the picker cannot be used", func() bool {
		p := told()
		return p.State == "unreachable" && p.ErrorAt != nil && (strings.Contains(p.Error, "NOT_SERVING") || strings.Contains(p.Error, "refused"))
	})
	eventually(t, "why the picker cannot be used", func() bool {
		all := front.logs.FilterMessage("a picker cannot be used").All()
		if len(all) == 0 {
			return false
		}
		fields := all[0].ContextMap()
		why, _ := fields["error"].(string)
		return fields["picker"] == behind.processing() && (strings.Contains(why, "NOT_SERVING") || strings.Contains(why, "refused"))
	})
	eventually(t, "503 without a picker", func() bool {
		res, err := ask()
		return err == nil && res.Status == http.StatusServiceUnavailable
	})
}
