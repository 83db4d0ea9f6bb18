package api

import (
	"net/http"
	"strings"
	"time"
)

// problem is an error for a person or a program (RFC 9457).
type problem struct {
	Type   string `json:"type"` // always about:blank: the title says it
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Try    string `json:"try"`              // what to do
	Code   string `json:"code,omitempty"`   // stable, for programs
	Stored string `json:"stored,omitempty"` // what became of records, as in package httpin

	retry time.Duration // of Retry-After; 0 = none

	Findings []ConfigFinding `json:"findings,omitempty"` // of a config that is wrong
}

func (p problem) write(w http.ResponseWriter) {
	p.Type = "about:blank"
	writeJSON(w, p.Status, "application/problem+json", p)
}

func (h *handler) unknownPath(w http.ResponseWriter, r *http.Request) {
	problem{
		Status: http.StatusNotFound, Title: "not found", Detail: "there is nothing at " + r.URL.Path,
		Try: "one of " + strings.Join(h.paths, " "),
	}.write(w)
}
