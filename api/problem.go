package api

import "net/http"

// problem is an error for a person or a program (RFC 9457).
type problem struct {
	Type   string `json:"type"` // always about:blank: the title says it
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Try    string `json:"try"` // what to do
}

func (p problem) write(w http.ResponseWriter) {
	p.Type = "about:blank"
	writeJSON(w, p.Status, "application/problem+json", p)
}

func unknownPath(w http.ResponseWriter, r *http.Request) {
	problem{
		Status: http.StatusNotFound, Title: "not found", Detail: "there is nothing at " + r.URL.Path,
		Try: "one of /healthz /readyz /metrics /v1/status /v1/hold /v1/resume /v1/topics/{topic} /openapi.json",
	}.write(w)
}

func crossOrigin(w http.ResponseWriter, _ *http.Request) {
	problem{
		Status: http.StatusForbidden, Title: "cross-origin request", Detail: "a page of another origin may not give orders",
		Try: "streamdown hold or streamdown resume",
	}.write(w)
}
