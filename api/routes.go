package api

import (
	"net/http"

	"github.com/streamdown/streamdown/auth"
)

// Kind is what a request to a route does, and with that what the Guard asks of it.
type Kind string

// The kinds.
const (
	Open     Kind = "open"     // tells nothing about anybody: everyone may ask
	Scraped  Kind = "scraped"  // reads, and is open where the config says so or nobody logs in
	Reading  Kind = "reading"  // shows something; needs a role
	Changing Kind = "changing" // changes something; needs a role, and is audited
	Ingest   Kind = "ingest"   // takes records; needs a user, whose right to the topic the Intake asks for
)

// Route is one thing that can be asked of the HTTP port.
type Route struct {
	Method string // GET stands for HEAD too
	Path   string // in the form of http.ServeMux's patterns
	Kind   Kind
	Role   auth.Role // the least that may; NoRole for Open and Ingest

	serve func(*handler, http.ResponseWriter, *http.Request)
}

// routes is all that the HTTP port answers, and all that it is built from: what is not here does not exist, and what is
// here says who may. TestEveryRouteAsksForItsRole in package node has a row for each.
var routes = []Route{
	{http.MethodGet, "/healthz", Open, auth.NoRole, (*handler).alive},
	{http.MethodGet, "/readyz", Open, auth.NoRole, (*handler).ready},
	{http.MethodGet, "/openapi.json", Open, auth.NoRole, (*handler).openAPI},
	{http.MethodGet, "/metrics", Scraped, auth.Viewer, (*handler).scrape},
	{http.MethodGet, "/v1/status", Reading, auth.Viewer, (*handler).showStatus},
	{http.MethodPost, "/v1/hold", Changing, auth.Operator, (*handler).hold},
	{http.MethodPost, "/v1/resume", Changing, auth.Operator, (*handler).resume},
	{http.MethodPost, "/v1/proofs", Changing, auth.Operator, (*handler).noteProof},
	{http.MethodGet, "/v1/quarantine", Reading, auth.Viewer, (*handler).listQuarantine},
	{http.MethodGet, "/v1/quarantine/{topic}/{batch}", Reading, auth.Operator, (*handler).showQuarantined},
	{http.MethodPost, "/v1/quarantine/retry", Changing, auth.Operator, (*handler).retryQuarantined},
	{http.MethodPost, "/v1/quarantine/discard", Changing, auth.Admin, (*handler).discardQuarantined},
	{http.MethodGet, "/v1/config", Reading, auth.Operator, (*handler).showConfig},
	{http.MethodPost, "/-/reload", Changing, auth.Admin, (*handler).reload},
	{http.MethodPost, "/v1/topics/{topic}", Ingest, auth.NoRole, (*handler).postTopic},
	{http.MethodPost, "/v3/clusters/{cluster}/topics/{topic}/records", Ingest, auth.NoRole, (*handler).postRecords},
}

// Routes lists all that the HTTP port answers.
func Routes() []Route { return append([]Route(nil), routes...) }

// Intake takes records over HTTP; *httpin.Door is one. Its methods may be called concurrently.
type Intake interface {
	PostTopic(w http.ResponseWriter, r *http.Request)
	PostRecords(w http.ResponseWriter, r *http.Request)
	OpenAPI(w http.ResponseWriter, r *http.Request)
}

func (h *handler) openAPI(w http.ResponseWriter, r *http.Request)     { h.records.OpenAPI(w, r) }
func (h *handler) postTopic(w http.ResponseWriter, r *http.Request)   { h.records.PostTopic(w, r) }
func (h *handler) postRecords(w http.ResponseWriter, r *http.Request) { h.records.PostRecords(w, r) }

// mux serves the routes, each behind the guard.
func (h *handler) mux(g *Guard) *http.ServeMux {
	mux := http.NewServeMux()
	byPath := map[string]methods{}
	for _, rt := range routes {
		m := byPath[rt.Path]
		if m == nil {
			m = methods{}
			byPath[rt.Path] = m
			mux.Handle(rt.Path, m)
			h.paths = append(h.paths, rt.Path)
		}
		m[rt.Method] = g.guarded(rt, func(w http.ResponseWriter, r *http.Request) { rt.serve(h, w, r) })
	}
	mux.HandleFunc("/", h.unknownPath)
	return mux
}

// methods are what one path takes.
type methods map[string]http.Handler

// ServeHTTP implements http.Handler.
func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if serve, ok := m[method]; ok {
		serve.ServeHTTP(w, r)
		return
	}
	m.refuse(w, r)
}
