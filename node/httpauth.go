package node

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/httpin"
)

// openHTTP reads what the HTTP port shows and asks of who comes. who is nil when nobody has to log in.
func (n *Node) openHTTP(who *auth.Authority) (err error) {
	h := &n.cfg.Listen.HTTP
	if !h.Login {
		who = nil
	}
	n.guard = api.NewGuard(api.GuardConfig{Authority: who, OpenMetrics: h.OpenMetrics, Logger: n.log})
	if t := listenerTLS(h.TLS); t != nil {
		t.Protocols = []string{"h2", "http/1.1"}
		if n.httpTLS, err = auth.OpenTLS(*t, "listen.http", n.log, nil); err != nil {
			return fmt.Errorf("listen.http: %w", err)
		}
	}
	return nil
}

// writers is who may write over HTTP; nil where nobody logs in.
func (n *Node) writers(who *auth.Authority) httpin.Authorizer {
	if who == nil || !n.cfg.Listen.HTTP.Login {
		return nil
	}
	return writers{who}
}

// serveHTTP serves until the page is shut down.
func (n *Node) serveHTTP(page *http.Server) error {
	var err error
	if n.httpTLS != nil {
		page.TLSConfig = n.httpTLS.Config()
		err = page.ServeTLS(n.httpL, "", "")
	} else {
		err = page.Serve(n.httpL)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("http listener: %w", err)
	}
	return nil
}

// reachable refuses a listener that others reach and that asks nobody, whatever the name in the config stands for.
func (n *Node) reachable() error {
	if tcp, ok := n.httpL.Addr().(*net.TCPAddr); !n.cfg.Listen.HTTP.Login && (!ok || !tcp.IP.IsLoopback()) {
		return fmt.Errorf("listen.http: %s is not loopback and nobody has to log in: add auth.users, or listen on 127.0.0.1 or [::1]", n.httpL.Addr())
	}
	return nil
}

// pages is all that the HTTP port serves.
func (n *Node) pages() http.Handler {
	return api.Handler(api.Options{Status: n.Status, Control: n, Records: n.door, Guard: n.guard, Logger: n.log})
}

// writers says who may write to a topic over HTTP: as it is now, for each request and for each part of a stream.
type writers struct{ who *auth.Authority }

// Authorize implements httpin.Authorizer.
func (w writers) Authorize(r *http.Request, topic string) error {
	switch who := auth.PrincipalOf(r.Context()); {
	case who == nil: // the guard lets nobody come so far
		return notLoggedIn("nobody logged in")
	case !who.Expires.IsZero() && time.Now().After(who.Expires.Add(streamSkew)):
		return notLoggedIn("the token has expired since")
	case !w.who.Allows(who.Name, topic):
		return fmt.Errorf("user %q may not write to topic %q: it is not in the user's topics (auth.users)", who.Name, topic)
	}
	return nil
}

// streamSkew is how long a stream may go on after its token ended: clocks differ.
const streamSkew = time.Minute

// notLoggedIn is an error of status 401.
type notLoggedIn string

func (e notLoggedIn) Error() string { return string(e) }

// HTTPStatus is the status that it is answered with.
func (notLoggedIn) HTTPStatus() int { return http.StatusUnauthorized }
