package httpin

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type openAPI struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		Responses   map[string]any `json:"responses"`
		RequestBody struct {
			Content map[string]any `json:"content"`
		} `json:"requestBody"`
		Parameters []struct{ Name, In string } `json:"parameters"`
	} `json:"paths"`
}

// The document names exactly the routes that are served, with the methods that they take, the kinds of body and the
// statuses that they answer; and what it points at exists.
func TestTheDocumentIsTheRoutes(t *testing.T) {
	h := newHouse(t)
	w := h.send(http.MethodGet, "/openapi.json", nil)
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/openapi+json" {
		t.Fatal(w.Code, w.Header())
	}
	var doc openAPI
	var all any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || json.Unmarshal(w.Body.Bytes(), &all) != nil || !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Fatal(err, doc.OpenAPI)
	}
	for _, m := range regexp.MustCompile(`"\$ref": "#/([^"]+)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		at := all
		for _, name := range strings.Split(m[1], "/") {
			at, _ = at.(map[string]any)[name]
			if at == nil {
				t.Errorf("%s points at nothing", m[0])
				break
			}
		}
	}
	fill := strings.NewReplacer("{topic}", "one", "{cluster}", "kafka-1")
	var served []string
	for _, r := range Routes() {
		served = append(served, r.Path)
		if len(doc.Paths[r.Path]) != 1 || doc.Paths[r.Path][strings.ToLower(r.Method)].Responses == nil {
			t.Errorf("%s %s is served, the document has %v", r.Method, r.Path, doc.Paths[r.Path])
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			takes := method == r.Method || r.Method == http.MethodGet && method == http.MethodHead
			w := h.send(method, fill.Replace(r.Path), nil)
			if (w.Code != http.StatusMethodNotAllowed) != takes {
				t.Errorf("%s %s: %d", method, r.Path, w.Code)
			}
			if !takes {
				h.problem(w, 405, "method")
				if !strings.Contains(w.Header().Get("Allow"), r.Method) {
					t.Errorf("%s %s: Allow: %q", method, r.Path, w.Header().Get("Allow"))
				}
			}
			for name := range w.Header() {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s: %s: other origins are let in", method, r.Path, name)
				}
			}
		}
		for status := range doc.Paths[r.Path][strings.ToLower(r.Method)].Responses {
			if n, err := strconv.Atoi(status); err != nil || !slices.Contains(statuses[1:], n) {
				t.Errorf("%s: status %s is never answered", r.Path, status)
			}
		}
	}
	for path := range doc.Paths {
		if !slices.Contains(served, path) {
			t.Errorf("%s is in the document and not served", path)
		}
	}
	for kind := range doc.Paths["/v1/topics/{topic}"]["post"].RequestBody.Content {
		header := []string{"Content-Type", kind}
		if kind == "*/*" {
			header = []string{"Content-Type", "text/plain", "ce-id", "1", "ce-source", "/s", "ce-type", "t", "ce-specversion", "1.0"}
		}
		if w := h.post("/v1/topics/one", "", header...); w.Code == 415 {
			t.Errorf("%s is in the document and not taken", kind)
		}
	}
}

// Each code of a problem that the tests meet is answered with one status only, which the metrics know.
func TestStatusesAreCounted(t *testing.T) {
	h := newHouse(t)
	h.post("/v1/topics/one", "1", "Content-Type", ndjson)
	h.post("/v1/topics/nosuch", "1", "Content-Type", ndjson)
	h.send(http.MethodGet, "/openapi.json", nil)
	s := h.door.Stats()
	for kind, n := range map[RequestKind]uint64{{"/v1/topics/{topic}", 200}: 1, {"/v1/topics/{topic}", 404}: 1, {"/openapi.json", 200}: 1} {
		if s.Requests[kind] != n {
			t.Errorf("%v: %d", kind, s.Requests[kind])
		}
	}
	if s.Records["ndjson"] != 1 || s.BytesIn != 1 || len(s.Latency.Counts) != len(s.Latency.Bounds)+1 {
		t.Errorf("%+v", s)
	}
}
