package modelapi

import (
	"bytes"
	"io"
	"mime/multipart"
	"strings"

	"github.com/weirflow/weir/gateway/refusal"
)

// MaxName bounds the name of a model that comes in a header or a form, in bytes.
const MaxName = 512

// FindModel finds the model that a request asks for, also on a path whose body is not read
// otherwise.
func (r *Request) FindModel() *refusal.Refusal {
	if r.Model == "" {
		r.Model = modelOf(r.Body)
	}
	if r.Model == "" {
		return modelRequired()
	}
	return nil
}

func modelRequired() *refusal.Refusal {
	return refusal.BadRequest("model_required", `the request names no model; add "model" to its body`)
}

// modelOf is the model that a body names of a path whose body is not read otherwise: JSON, or
// a form with a file, as for speech. It is empty if there is none.
func modelOf(body []byte) string {
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		var f fields
		_ = members(body, func(name, value []byte) { // what cannot be read names none
			if string(name) == "model" {
				f.take(name, value)
			}
		})
		return f.model
	}
	line, _, _ := bytes.Cut(body, []byte("\r\n"))
	boundary, ok := strings.CutPrefix(string(line), "--")
	if !ok || boundary == "" || len(boundary) > maxBoundary {
		return ""
	}
	for form := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		part, err := form.NextPart()
		if err != nil {
			return ""
		}
		if part.FormName() == "model" {
			text, _ := io.ReadAll(io.LimitReader(part, MaxName)) // what cannot be read names none
			return string(text)
		}
	}
}

// maxBoundary bounds the boundary of a form, in bytes, as the standard has it.
const maxBoundary = 70

// ModelAt is where in a JSON object the text of its model is, and how many times it is there:
// not at all in what is no object.
func ModelAt(body []byte) (from, to, times int) {
	err := members(body, func(field, value []byte) {
		if string(field) == "model" {
			from = cap(body) - cap(value) // which is a part of the body
			to = from + len(value)
			times++
		}
	})
	if err != nil {
		return 0, 0, 0
	}
	return from, to, times
}
