package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/streamdown/streamdown/auth"
)

// recorder notes the status that was answered.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// audited writes one line for a changing call, in the group "audit": who, from where, what, why and with which result.
// The line's own time is when. Those that were denied can be caused by strangers, so not each of them is written; all
// are counted.
func (g *Guard) audited(r *http.Request, ask *asked, status int) {
	result := "done"
	switch {
	case ask.denied:
		result = "denied"
	case status == 0: // a panic, or the client went away
		result = "unknown"
	case status >= http.StatusInternalServerError:
		result = "failed"
	case status >= http.StatusBadRequest:
		result = "refused"
	}
	user := g.named(ask.who)
	g.stats.change(change{ask.route.Path, user, result})
	role, by := auth.NoRole, ""
	name := user
	switch {
	case g.who == nil:
		role = auth.Admin
	case ask.who != nil:
		name, role, by = printable(ask.who.Name), g.who.RoleOf(ask.who.Name), string(ask.who.Mechanism)
	}
	args := []any{
		"user", name, "role", role.String(), "by", by, "from", r.RemoteAddr, "what", ask.route.Method + " " + ask.route.Path,
		"target", ask.target, "reason", ask.reason, "result", result, "status", status,
	}
	if result == "denied" {
		unsaid, ok := g.quiet.take(time.Now())
		if !ok {
			return
		}
		args = append(args, "unsaid", unsaid)
	}
	// The answer is given, or nobody waits for it any more: the line is written all the same.
	g.audit.InfoContext(context.WithoutCancel(r.Context()), "a changing call", args...)
}

// quiet bounds how much strangers can make us log: a burst, then so many lines a second. The zero value is ready.
type quiet struct {
	mu     sync.Mutex // guards the following
	spent  float64
	last   time.Time
	unsaid int
}

const (
	quietBurst = 50
	quietRate  = 2 // lines per second
)

// take reports whether a line may be written, and how many were not since the last one.
func (q *quiet) take(now time.Time) (unsaid int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spent = max(0, q.spent-now.Sub(q.last).Seconds()*quietRate)
	q.last = now
	if q.spent >= quietBurst {
		q.unsaid++
		return 0, false
	}
	q.spent++
	unsaid, q.unsaid = q.unsaid, 0
	return unsaid, true
}
