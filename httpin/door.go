package httpin

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/catalog"
)

// Door takes records over HTTP. All methods may be called concurrently.
type Door struct {
	cfg       Config
	intake    Intake
	directory Directory
	receipts  *Receipts
	stats     counters
	room      room
	stickies  stickies
	once      onceMemory
	origins   *http.CrossOriginProtection
	serve     [routeCount]http.Handler

	mu     sync.Mutex // guards the following
	logged map[string]time.Time
}

// New returns a door that hands what it takes to in, asks dir what exists, and learns from receipts what became of it.
// It touches nothing.
func New(cfg Config, in Intake, dir Directory, receipts *Receipts) (*Door, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("http ingest: %w", err)
	}
	d := &Door{cfg: cfg.withDefaults(), intake: in, directory: dir, receipts: receipts, origins: http.NewCrossOriginProtection(), logged: map[string]time.Time{}}
	for i, serve := range [routeCount]func(http.ResponseWriter, *http.Request) *Problem{routeTopic: d.postTopic, routeREST: d.postREST, routeOpenAPI: d.openAPI} {
		d.serve[i] = d.guard(i, routes[i].Method, serve)
	}
	return d, nil
}

// Route is one thing that can be asked of a door.
type Route struct{ Method, Path string }

// route names, the label values of metrics; they are in the order of routes.
const (
	routeTopic = iota
	routeREST
	routeOpenAPI
	routeCount
)

var routes = [routeCount]Route{
	routeTopic:   {http.MethodPost, "/v1/topics/{topic}"},
	routeREST:    {http.MethodPost, "/v3/clusters/{cluster}/topics/{topic}/records"},
	routeOpenAPI: {http.MethodGet, "/openapi.json"},
}

// Routes lists what a door answers, in the form of http.ServeMux's patterns.
func Routes() []Route { return routes[:] }

// PostTopic serves POST /v1/topics/{topic}, whose topic is a path value of the request.
func (d *Door) PostTopic(w http.ResponseWriter, r *http.Request) { d.serve[routeTopic].ServeHTTP(w, r) }

// PostRecords serves Confluent's route, whose cluster and topic are path values of the request.
func (d *Door) PostRecords(w http.ResponseWriter, r *http.Request) {
	d.serve[routeREST].ServeHTTP(w, r)
}

// OpenAPI serves the document that describes all this.
func (d *Door) OpenAPI(w http.ResponseWriter, r *http.Request) { d.serve[routeOpenAPI].ServeHTTP(w, r) }

// statusWriter notes the status that was answered.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// guard is what all routes have in common: who may ask at all, and what becomes of a problem.
func (d *Door) guard(route int, method string, serve func(http.ResponseWriter, *http.Request) *Problem) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, hr *http.Request) {
		began := time.Now()
		w := &statusWriter{ResponseWriter: rw}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		defer func() {
			if v := recover(); v != nil && v != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
				d.cfg.Logger.Error("http ingest: a request was given up for a fault of our own", "route", routes[route].Path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
				if w.status == 0 {
					p := refuse(http.StatusInternalServerError, "internal", "a fault of ours", tryLater, "the journal has the details").closing()
					p.Stored = "unknown"
					p.write(w)
				}
			}
			d.stats.request(route, w.status, time.Since(began))
		}()
		problem := d.admit(method, w, hr)
		if problem == nil {
			problem = serve(w, hr)
		}
		if problem != nil {
			d.refusedOnce(problem, hr)
			problem.write(w)
		}
	})
}

func (d *Door) admit(method string, w http.ResponseWriter, hr *http.Request) *Problem {
	if hr.Method != method && (method != http.MethodGet || hr.Method != http.MethodHead) {
		allow := method
		if method == http.MethodGet {
			allow += ", HEAD"
		}
		w.Header().Set("Allow", allow)
		return refuse(http.StatusMethodNotAllowed, "method", "method not allowed", "use "+allow, "%s is not taken here", streamdown.Shorten(hr.Method, 20))
	}
	if d.cfg.Authorizer == nil && !local(hr.Host) {
		return refuse(http.StatusMisdirectedRequest, "host", "unknown host name", "use 127.0.0.1 or localhost in the URL",
			"there is no login, so this is served to this machine only")
	}
	if err := d.origins.Check(hr); err != nil {
		return refuse(http.StatusForbidden, "cross_origin", "cross-origin request", "send records from a program, not from a page of another origin", "%v", err)
	}
	return nil
}

// local reports whether a Host names this machine by an address or as localhost. A page whose name was made to point at
// loopback (DNS rebinding) is its own origin to the browser; its name in Host is what gives it away.
func local(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}

// refusedOnce logs a kind of refusal once a minute: a client that goes on does not fill the journal.
func (d *Door) refusedOnce(p *Problem, hr *http.Request) {
	d.mu.Lock()
	now := time.Now()
	fresh := now.Sub(d.logged[p.Code]) >= time.Minute
	if fresh {
		d.logged[p.Code] = now // codes are ours: there are some dozens
	}
	d.mu.Unlock()
	if fresh {
		d.cfg.Logger.Warn("http ingest: a request was refused; more of its kind are not logged for a minute",
			"status", p.Status, "code", p.Code, "detail", streamdown.Shorten(p.Detail, 300), "try", p.Try, "client", hr.RemoteAddr, "user", user(hr))
	}
}

// topic finds the topic that a request is for, and whether it may be written to.
func (d *Door) topic(hr *http.Request) (string, *catalog.Topic, *Problem) {
	name := hr.PathValue("topic")
	if !streamdown.ValidTopic(name) {
		return "", nil, refuse(http.StatusBadRequest, "topic_name", "not a topic's name", "correct the URL", "a topic's name is 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'")
	}
	if p := d.may(hr, name); p != nil {
		return "", nil, p
	}
	if !d.directory.Takes(name) {
		return "", nil, refuse(http.StatusNotFound, "topic_not_taken", "no stream takes this topic", "add it to `streams` in the configuration, or correct the name",
			"topic %q matches none of the streams", name)
	}
	cluster := d.directory.Cluster()
	if cluster == nil {
		return "", nil, refuse(http.StatusServiceUnavailable, "target_unseen", "the target was never seen", "look at the target; streamdown status shows why it is away",
			"which topics and partitions exist is not known before the target was reached once").after(5 * time.Second)
	}
	t := cluster.Topics[name]
	if t == nil || t.Internal {
		return "", nil, unknownTopic(name)
	}
	if len(t.Partitions) == 0 {
		return "", nil, refuse(http.StatusServiceUnavailable, "topic_unseen", "the topic's partitions are not known", tryLater, "the target does not say yet how many partitions %s has", name).after(retryAfter)
	}
	return name, t, nil
}

// may says why a request may not write to a topic, as it is now.
func (d *Door) may(hr *http.Request, topic string) *Problem {
	if a := d.cfg.Authorizer; a != nil {
		if err := a.Authorize(hr, topic); err != nil {
			return denied(err)
		}
	}
	return nil
}

// user is who sent a request, "" if nobody was asked to say so.
func user(hr *http.Request) string {
	if who := auth.PrincipalOf(hr.Context()); who != nil {
		return streamdown.Shorten(who.Name, 200)
	}
	return ""
}

func denied(err error) *Problem {
	status := http.StatusForbidden
	var with interface{ HTTPStatus() int }
	if errors.As(err, &with) && with.HTTPStatus() == http.StatusUnauthorized {
		status = http.StatusUnauthorized
	}
	code, title := "forbidden", "not allowed"
	if status == http.StatusUnauthorized {
		code, title = "unauthorized", "who are you?"
	}
	return refuse(status, code, title, "add the topic to the user's topics in auth.users, or ask whoever runs this gateway to", "%v", err).closing()
}

// postTopic takes the records of one request to a topic.
func (d *Door) postTopic(w http.ResponseWriter, hr *http.Request) *Problem {
	topic, t, p := d.topic(hr)
	if p != nil {
		return p
	}
	q, p := query(hr)
	if p != nil {
		return p
	}
	f, p := formOf(hr, q)
	if p != nil {
		return p
	}
	name, p := keyOf(hr)
	if p != nil {
		return p
	}
	if p = d.hold(hr.Context(), 2*d.cfg.MaxOpenBytes); p != nil {
		return p
	}
	r := newRequest(f)
	defer d.release(r)
	if p = d.read(w, hr, r); p == nil {
		p = d.parse(hr, r, q)
	}
	if p == nil && len(r.records) == 0 {
		p = refuse(http.StatusBadRequest, "empty", "no records", "send at least one record", "the body holds none")
	}
	if p != nil {
		return p
	}
	return d.take(w, hr, r, topic, t, name)
}

// release gives back what a request took.
func (d *Door) release(r *request) {
	d.room.add(-r.charged)
	r.release()
}

// hold waits until less than most is open.
func (d *Door) hold(ctx context.Context, most int64) *Problem {
	if err := d.room.wait(ctx, most, d.cfg.HoldFor); err != nil {
		d.stats.heldOut.Add(1)
		return refuse(http.StatusServiceUnavailable, "busy", "too much is under way", tryLater, "%d bytes of requests are not answered yet", d.room.bytes()).after(retryAfter).closing()
	}
	return nil
}

// queryValues are the parameters of a URL, each once.
type queryValues map[string]string

func query(hr *http.Request) (queryValues, *Problem) {
	if hr.URL.RawQuery == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(hr.URL.RawQuery)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "query", "malformed query", "encode it as a form (application/x-www-form-urlencoded)", "%v", err)
	}
	q := queryValues{}
	for name, v := range values {
		switch name {
		case "key", "partition", "timestamp", "lines":
		default:
			return nil, refuse(http.StatusBadRequest, "query", "unknown query parameter", "key, partition, timestamp and lines are known", "%q is not known", streamdown.Shorten(name, 60))
		}
		if len(v) != 1 {
			return nil, refuse(http.StatusBadRequest, "query", "malformed query", "give each parameter once", "%s is there %d times", name, len(v))
		}
		q[name] = v[0]
	}
	return q, nil
}

// formOf chooses how to read the body.
func formOf(hr *http.Request, q queryValues) (form, *Problem) {
	types := hr.Header["Content-Type"]
	if len(types) > 1 {
		return 0, refuse(http.StatusBadRequest, "content_type", "malformed request", "send one Content-Type", "Content-Type is there %d times", len(types))
	}
	media, params, err := "", map[string]string(nil), error(nil)
	if len(types) == 1 {
		media, params, err = mime.ParseMediaType(types[0])
	}
	f := forms
	switch {
	case strings.HasPrefix(media, "application/cloudevents-batch"):
		f = formBatched
	case strings.HasPrefix(media, "application/cloudevents"):
		f = formStructured
	case isBinaryEvent(hr.Header):
		f, err, params = formBinary, nil, nil
	case media == "application/x-ndjson":
		f = formLines
	case media == "application/octet-stream":
		f = formRaw
	}
	if (f == formStructured || f == formBatched) && !strings.HasSuffix(media, "+json") || f == forms || err != nil {
		return 0, refuse(http.StatusUnsupportedMediaType, "content_type", "unknown kind of body",
			"ce-… headers, application/cloudevents+json, application/cloudevents-batch+json, application/x-ndjson or application/octet-stream",
			"Content-Type %q is not taken without ce-… headers", streamdown.Shorten(strings.Join(types, ", "), 100))
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") && f != formRaw {
		return 0, refuse(http.StatusUnsupportedMediaType, "charset", "unknown charset", "send UTF-8", "charset %q is not taken", streamdown.Shorten(charset, 60))
	}
	for name := range q {
		if allowed := name == "lines" && f == formLines || name == "key" && f == formRaw || name != "lines" && name != "key" && f != formBatched && f != formLines; !allowed {
			return 0, refuse(http.StatusBadRequest, "query", "unfitting query parameter", "leave it out", "?%s means nothing for %s", name, f)
		}
	}
	return f, nil
}

// parse understands a body that was read.
func (d *Door) parse(hr *http.Request, r *request, q queryValues) (p *Problem) {
	switch r.form {
	case formBinary:
		p = r.binaryEvent(hr)
	case formStructured:
		p = r.structuredEvent(d.cfg.MaxDepth)
	case formBatched:
		return r.batchedEvents(d.cfg.MaxDepth, d.cfg.MaxRecords)
	case formLines:
		asRecords, p := linesForm(q)
		if p != nil {
			return p
		}
		return r.lines(asRecords, d.cfg.MaxDepth, d.cfg.MaxRecords)
	default:
		r.add().value = r.body
	}
	if p != nil {
		return p
	}
	if r.form == formRaw {
		return r.query(q, &r.records[0])
	}
	return place(q, &r.records[0])
}
