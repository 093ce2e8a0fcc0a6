package admin

import (
	"fmt"
	"net/http"
)

func (s *Server) serveConsole() {
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, fmt.Errorf("there is no %s; /v1/ lists what there is", r.URL.Path))
	})
}
