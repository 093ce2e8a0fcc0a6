package envoy

import "testing"

// TestAnswersAreAskedForPlain wants servers not to compress answers, in which usage is read.
func TestAnswersAreAskedForPlain(t *testing.T) {
	said := ""
	for _, h := range requestHeaders("id", []string{"10.0.0.1:8000"}, true).GetRequestHeaders().GetResponse().GetHeaderMutation().GetSetHeaders() {
		if h.GetHeader().GetKey() == "accept-encoding" {
			said = valueOf(h.GetHeader())
		}
	}
	if said != "identity" {
		t.Errorf("accept-encoding becomes %q", said)
	}
}
