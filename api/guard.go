package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/streamdown/streamdown/auth"
)

// Guard stands before every route: it finds out who asks and whether that may. Its methods may be called concurrently.
//
// With an authority every request shows who it comes from: Authorization with Basic or Bearer, or else the client's
// certificate. Without one the listener has to be on loopback, and everybody on this machine may do everything, but no
// page in a browser may: it is known by the name that it calls us (DNS rebinding) or by its origin.
type Guard struct {
	who         *auth.Authority
	openMetrics bool
	log         *slog.Logger
	audit       *slog.Logger
	origins     *http.CrossOriginProtection
	slowdown    auth.Slowdown
	quiet       quiet
	stats       guardCounters
}

// GuardConfig says whom a Guard asks. The zero value lets everybody on this machine do everything.
type GuardConfig struct {
	Authority   *auth.Authority // nil = nobody logs in
	OpenMetrics bool            // /metrics needs no login
	// Logger hears of refusals, and in its group "audit" of each changing call; nil is silent.
	Logger *slog.Logger
}

// NewGuard returns a guard. It touches nothing.
func NewGuard(c GuardConfig) *Guard {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Guard{who: c.Authority, openMetrics: c.OpenMetrics, log: c.Logger, audit: c.Logger.WithGroup("audit"), origins: http.NewCrossOriginProtection()}
}

// guarded is a route behind the guard.
func (g *Guard) guarded(rt Route, serve http.HandlerFunc) http.Handler {
	if rt.Kind == Open || rt.Kind == Scraped && (g.openMetrics || g.who == nil) {
		return serve
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ask := &asked{route: &rt}
		if rt.Kind == Changing {
			recorded := &recorder{ResponseWriter: w}
			w = recorded
			r = r.WithContext(context.WithValue(r.Context(), askedKey{}, ask))
			defer func() { g.audited(r, ask, recorded.status) }()
		}
		p := g.admit(r, ask)
		if p == nil && ask.who != nil {
			r = r.WithContext(auth.WithPrincipal(r.Context(), ask.who))
		}
		if p == nil {
			serve(w, r)
			return
		}
		ask.denied = true
		if rt.Kind == Ingest {
			p.Stored = "none"
		}
		if p.retry > 0 {
			w.Header().Set("Retry-After", fmt.Sprint(int(p.retry/time.Second)))
		}
		if p.Status == http.StatusUnauthorized {
			for _, c := range g.who.Challenges() {
				w.Header().Add("WWW-Authenticate", c)
			}
		}
		w.Header().Set("Connection", "close") // what else it sends is not worth reading
		p.write(w)
	})
}

// asked is one request under way.
type asked struct {
	route  *Route
	who    *auth.Principal // nil = nobody, or nobody was asked to say
	denied bool
	// What a changing call was to change and why, as far as it was understood.
	target, reason string
}

type askedKey struct{}

// about tells the audit what a changing call is about.
func about(ctx context.Context, target, reason string) {
	if a, ok := ctx.Value(askedKey{}).(*asked); ok {
		a.target, a.reason = target, reason
	}
}

// admit returns why the request may not go on, nil if it may.
func (g *Guard) admit(r *http.Request, ask *asked) *problem {
	if rt := ask.route; rt.Kind != Ingest { // httpin does so itself, and counts it
		if g.who == nil && !local(r.Host) {
			return &problem{
				Status: http.StatusMisdirectedRequest, Title: "unknown host name",
				Detail: "there is no login, so this is served to this machine only", Try: "use 127.0.0.1 or localhost in the URL",
			}
		}
		if err := g.origins.Check(r); err != nil {
			return &problem{
				Status: http.StatusForbidden, Title: "cross-origin request", Detail: "a page of another origin may not give orders",
				Try: "streamdown hold or streamdown resume",
			}
		}
	}
	if g.who == nil {
		return nil
	}
	who, p := g.identify(r)
	if p != nil {
		return p
	}
	ask.who = who
	g.stats.user(g.named(who))
	if has, want := g.who.RoleOf(who.Name), ask.route.Role; has < want {
		return &problem{
			Status: http.StatusForbidden, Title: "not allowed", Code: "forbidden",
			Detail: fmt.Sprintf("user %q has the role %s, and %s %s needs %s", printable(who.Name), has, ask.route.Method, ask.route.Path, want),
			Try:    fmt.Sprintf("give the user role: %s in auth.users, or ask somebody who has it", want),
		}
	}
	return nil
}

// checkTime bounds how long it may take to find out who asks: a place to check a password, or keys to be fetched.
const checkTime = 10 * time.Second

// identify finds out who asks.
func (g *Guard) identify(r *http.Request) (*auth.Principal, *problem) {
	headers := r.Header["Authorization"]
	certificate := r.TLS != nil && len(r.TLS.PeerCertificates) > 0
	switch {
	case len(headers) > 1:
		return nil, g.refused(r, auth.Basic, &auth.Refusal{Reason: auth.Malformed, Detail: "more than one Authorization header", Say: "there is more than one Authorization header"})
	case len(headers) == 0 && certificate:
		who, err := g.who.OfCertificate(r.TLS.PeerCertificates[0])
		if err != nil {
			return nil, g.refused(r, auth.Certificate, err)
		}
		g.stats.login(string(auth.Certificate), "ok")
		return who, nil
	case len(headers) == 0:
		g.stats.login("none", "no_login")
		return nil, unauthorized("there is no login with this request")
	}
	from := address(r)
	if !g.slowdown.Admit(from, time.Now()) {
		g.stats.login("any", "too_many_failures")
		g.say("login over HTTP not checked: too many logins from this address failed", "address", from)
		return nil, &problem{
			Status: http.StatusTooManyRequests, Title: "too many failed logins", Code: "too_many_failures", Detail: "too many logins from this address failed",
			Try: "wait some seconds", retry: time.Second,
		}
	}
	m := auth.Basic
	if scheme, _, _ := strings.Cut(headers[0], " "); strings.EqualFold(scheme, "Bearer") {
		m = auth.Bearer
	}
	limited, cancel := context.WithTimeout(r.Context(), checkTime)
	defer cancel()
	who, err := g.who.OfAuthorization(limited, headers[0])
	if err != nil {
		pause := time.NewTimer(g.slowdown.Failed(from, time.Now()))
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-r.Context().Done():
		}
		return nil, g.refused(r, m, err)
	}
	g.stats.login(string(m), "ok")
	return who, nil
}

// refused logs and counts a refusal and returns what the client may hear of it.
func (g *Guard) refused(r *http.Request, m auth.Mechanism, err error) *problem {
	reason, user, say := auth.Malformed, "", "login refused"
	if refusal := (*auth.Refusal)(nil); errors.As(err, &refusal) {
		reason, user, err = refusal.Reason, refusal.User, errors.New(refusal.Detail)
		if refusal.Say != "" {
			say = refusal.Say
		}
	}
	if m == auth.Certificate {
		say = "the client's certificate means no user"
	}
	g.stats.login(string(m), string(reason))
	g.say("login over HTTP refused", "mechanism", m, "reason", reason, "claimed_user", printable(user), "err", err, "address", r.RemoteAddr)
	return unauthorized(say)
}

func unauthorized(detail string) *problem {
	return &problem{
		Status: http.StatusUnauthorized, Title: "who are you?", Code: "unauthorized", Detail: detail,
		Try: "a user of auth.users: curl -u NAME, streamdown --user NAME with STREAMDOWN_PASSWORD, a bearer token, or a client certificate",
	}
}

// say logs what strangers can cause, so many times a second.
func (g *Guard) say(message string, args ...any) {
	if unsaid, ok := g.quiet.take(time.Now()); ok {
		if unsaid > 0 {
			args = append(args, "unsaid", unsaid)
		}
		g.log.Warn(message, args...)
	}
}

// named is the user's name for labels: only names of the config are.
func (g *Guard) named(who *auth.Principal) string {
	switch {
	case g.who == nil:
		return "(local)"
	case who == nil:
		return "(nobody)"
	case !g.who.Knows(who.Name):
		return otherTopics
	}
	return who.Name
}

func address(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // of what is none the zero one: all of them share one
	return at.Addr()
}

// local reports whether a Host names us by an address or as localhost. A page whose name was made to point at loopback
// (DNS rebinding) is its own origin to the browser; its name in Host is what gives it away.
func local(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}

// printable cuts a name to what a line can bear.
func printable(s string) string {
	const most = 200
	if s = strings.ToValidUTF8(s, "\uFFFD"); len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
