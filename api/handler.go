package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

type handler struct {
	status  func(ctx context.Context) Status
	control Control
	records Intake
	metrics http.Handler
	log     *slog.Logger
	paths   []string // of all routes
}

// Options are what the HTTP port shows and does.
type Options struct {
	// Status is called for each request that shows something, and must answer from memory.
	Status func(ctx context.Context) Status
	// Control carries out what people order.
	Control Control
	// Records takes records.
	Records Intake
	// Guard decides who may. Nil means that everybody on this machine may do everything.
	Guard *Guard
	// Logger may be nil.
	Logger *slog.Logger
}

// Handler serves the routes. What c holds is called concurrently.
func Handler(c Options) http.Handler {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Guard == nil {
		c.Guard = NewGuard(GuardConfig{Logger: c.Logger})
	}
	h := &handler{status: c.Status, control: c.Control, records: c.Records, metrics: metrics(c.Status, c.Logger), log: c.Logger}
	return headers(h.mux(c.Guard))
}

func (h *handler) scrape(w http.ResponseWriter, r *http.Request) { h.metrics.ServeHTTP(w, r) }

func (h *handler) alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("alive\n"))
}

// ready means "can ack" (decision 16): a balancer that took us away because Kafka is down would do so just when we are
// needed.
func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	s := h.status(r.Context())
	if !s.Ready {
		why := s.NotReady
		if why == "" {
			why = "the reason is not known"
		}
		problem{
			Status: http.StatusServiceUnavailable, Title: "not ready: producers are not acked", Detail: why,
			Try: "streamdown status shows the log and its disk",
		}.write(w)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ready\n"))
}

func (h *handler) showStatus(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, "application/json", whole(h.status(r.Context())))
}

// whole puts a status into the form of the JSON rules: times in UTC, nothing null that is an empty list.
func whole(s Status) Status {
	s.SchemaVersion = SchemaVersion
	s.Now, s.StartedAt = s.Now.UTC(), s.StartedAt.UTC()
	s.Target.BreakerSince, s.Target.LookedAt = utc(s.Target.BreakerSince), utc(s.Target.LookedAt)
	s.Target.Bootstrap = list(s.Target.Bootstrap)
	s.Listen.Classes = list(s.Listen.Classes)
	s.Log.Damage = list(s.Log.Damage)
	s.Log.Scrub = s.Log.Scrub.whole()
	if l := s.Log.Ledger; l != nil {
		copied := *l
		copied.Oldest, copied.Damaged = utc(l.Oldest), list(l.Damaged)
		s.Log.Ledger = &copied
	}
	s.Log.Renewals = append([]Renewal{}, s.Log.Renewals...)
	for i := range s.Log.Renewals {
		s.Log.Renewals[i].At = s.Log.Renewals[i].At.UTC()
	}
	s.Lanes = append([]Lane{}, s.Lanes...)
	for i := range s.Lanes {
		s.Lanes[i].Lost, s.Lanes[i].Foreign = list(s.Lanes[i].Lost), list(s.Lanes[i].Foreign)
		if stop := s.Lanes[i].Stop; stop != nil {
			copied := *stop
			copied.At = stop.At.UTC()
			s.Lanes[i].Stop = &copied
		}
	}
	s.Holds = append([]Hold{}, s.Holds...)
	for i := range s.Holds {
		s.Holds[i].Since = s.Holds[i].Since.UTC()
	}
	s.Gateway.Requests = table(s.Gateway.Requests)
	s.Gateway.Refusals = table(s.Gateway.Refusals)
	s.Gateway.Clients = table(s.Gateway.Clients)
	s.Gateway.Users, s.Gateway.Cut = table(s.Gateway.Users), table(s.Gateway.Cut)
	s.Gateway.Logins = list(s.Gateway.Logins)
	s.HTTP.whole()
	s.Config.whole()
	s.Forward.Answers = table(s.Forward.Answers)
	return s
}

func (sc *Scrub) whole() *Scrub {
	if sc == nil {
		return nil
	}
	s := *sc
	s.WholeAt = utc(s.WholeAt)
	if s.Pass != nil {
		pass := *s.Pass
		pass.Since = pass.Since.UTC()
		s.Pass = &pass
	}
	s.Damage = append([]Rot{}, s.Damage...)
	for i := range s.Damage {
		s.Damage[i].FirstSeen = s.Damage[i].FirstSeen.UTC()
	}
	return &s
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func table[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// writeJSON writes v indented: people read it too.
func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil { // a number that JSON does not have
		http.Error(w, "write JSON: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // who went away needs no answer
}

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// refuse says which methods a path takes.
func (m methods) refuse(w http.ResponseWriter, r *http.Request) {
	var names []string
	for method := range m {
		names = append(names, method)
		if method == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	slices.Sort(names)
	allow := strings.Join(names, ", ")
	w.Header().Set("Allow", allow)
	problem{
		Status: http.StatusMethodNotAllowed, Title: "method not allowed",
		Detail: r.URL.Path + " does not take " + printable(r.Method), Try: "use " + allow,
	}.write(w)
}
