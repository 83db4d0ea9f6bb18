package node_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/node"
	"github.com/streamdown/streamdown/test/authority"
)

// doors is a node whose HTTP port others can reach, and what its users log in with.
type doors struct {
	*running
	t      *testing.T
	url    string
	ca     *authority.Authority
	cfg    *config.Config
	token  func(user string, life time.Duration) string
	client func(with ...tls.Certificate) *http.Client
	put    func(name, text string)
}

// roles are the users of doors: each has the marker as its password, but for carol, who has a verifier of it, and ted, who
// has a token.
const roles = `
    - { name: producer, password: "${PASSWORD}", topics: [orders] }
    - { name: viewer, password: "${PASSWORD}", role: viewer }
    - { name: operator, password: "${PASSWORD}", role: operator }
    - { name: admin, password: "${PASSWORD}", role: admin }
    - { name: carol, scram: "${VERIFIER}", role: viewer, topics: [clicks] }
    - { name: ted, role: operator, topics: ["t*"] }
    - { name: cert, role: admin, topics: [orders] }
`

func open(t *testing.T, http string) *doors {
	t.Helper()
	dir := t.TempDir()
	d := &doors{t: t, ca: authority.New("clients trust this")}
	d.put = func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := d.ca.Issue(nil)
	d.put("tls.crt", server.Cert)
	d.put("tls.key", server.Key)
	d.put("ca.pem", d.ca.PEM)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	d.put("keys.json", string(set))
	d.token = func(user string, life time.Duration) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.Signed(signer).Claims(jwt.Claims{
			Issuer: "https://login.example/", Audience: jwt.Audience{"streamdown"}, Subject: user, Expiry: jwt.NewNumericDate(time.Now().Add(life)),
		}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	verifier, err := auth.NewVerifier(auth.SCRAM256, marker, auth.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	c := cluster(t, t.TempDir())
	t.Cleanup(c.Close)
	src := fmt.Sprintf(`version: 1
listen:
  kafka: { address: "127.0.0.1:0" }
  http: { %s }
auth:
  users: %s
  certificates: { rules: "RULE:^CN=([a-z]+)$/$1/" }
  oauth: { issuer: https://login.example/, audience: streamdown, keys: %q }
data: { dir: %q }
systems: { primary: { kafka: { bootstrap.servers: %q } } }
streams: [ { name: all, topics: ["*"], to: primary, acks: wal } ]
`, strings.ReplaceAll(http, "DIR", dir), roles, filepath.Join(dir, "keys.json"), filepath.Join(dir, "data"), c.ListenAddrs()[0])
	var findings config.Findings
	d.cfg, findings = config.Parse("test.yaml", []byte(src), func(name string) (string, bool) {
		return map[string]string{"PASSWORD": marker, "VERIFIER": verifier.Reveal()}[name], true
	})
	if d.cfg == nil {
		t.Fatal(findings)
	}
	logs := &journal{}
	n, err := node.Open(node.Options{Config: d.cfg, Logger: slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d.running = &running{Node: n, logs: logs, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		d.left, d.err = n.Run(ctx)
	}()
	t.Cleanup(func() { d.stop(t) })
	_, port, _ := strings.Cut(n.HTTPAddr()[strings.LastIndex(n.HTTPAddr(), "]")+1:], ":")
	d.url = "http://127.0.0.1:" + port
	if d.cfg.Listen.HTTP.TLS != nil {
		d.url = "https://127.0.0.1:" + port
	}
	d.client = func(with ...tls.Certificate) *httpClient {
		transport := &httpTransport{TLSClientConfig: &tls.Config{RootCAs: d.ca.Pool(), Certificates: with}, DisableKeepAlives: true, ForceAttemptHTTP2: true}
		return &httpClient{Transport: transport}
	}
	return d
}

// insistent shows its certificate whoever the server wants one from.
func insistent(c *http.Client, certificate tls.Certificate) *http.Client {
	c.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &certificate, nil
	}
	return c
}

// from comes from an address of its own: failures there hold nobody else up.
func from(c *http.Client, host byte) *http.Client {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, host)}}
	c.Transport.(*http.Transport).DialContext = d.DialContext
	return c
}

type (
	httpClient    = http.Client
	httpTransport = http.Transport
)

const withTLS = `address: "0.0.0.0:0", tls: { cert: DIR/tls.crt, key: DIR/tls.key, client_ca: DIR/ca.pem, client_auth: optional }`

// ask sends one request; as is what it logs in with.
func (d *doors) ask(method, path, body string, as func(*http.Request), header ...string) (status int, h http.Header, answer string) {
	d.t.Helper()
	return d.askBy(d.client(), method, path, body, as, header...)
}

func (d *doors) askBy(c *http.Client, method, path, body string, as func(*http.Request), header ...string) (status int, h http.Header, answer string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if as != nil {
		as(r)
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err.Error()
	}
	return resp.StatusCode, resp.Header, string(b)
}

func basic(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// TestEveryRouteAsksForItsRole has a row for each route: who of nobody, a producer, viewer, operator and admin gets past
// the guard. A route without a row fails, and so does a row without a route.
func TestEveryRouteAsksForItsRole(t *testing.T) {
	type row struct{ nobody, producer, viewer, operator, admin bool }
	var (
		everybody = row{true, true, true, true, true}
		viewers   = row{viewer: true, operator: true, admin: true}
		operators = row{operator: true, admin: true}
		admins    = row{admin: true}
		writers   = row{producer: true} // of the topic
	)
	want := map[string]row{
		"GET /healthz":      everybody,
		"GET /readyz":       everybody,
		"GET /openapi.json": everybody,
		"GET /metrics":      viewers,
		"GET /v1/status":    viewers,
		"POST /v1/hold":     operators,
		"POST /v1/resume":   operators,
		"POST /v1/proofs":   operators,
		"GET /v1/config":    operators,

		"GET /v1/quarantine":                 viewers,
		"GET /v1/quarantine/{topic}/{batch}": operators,
		"POST /v1/quarantine/retry":          operators,
		"POST /v1/quarantine/discard":        admins,

		"POST /-/reload": admins,

		"POST /v1/topics/{topic}":                            writers,
		"POST /v3/clusters/{cluster}/topics/{topic}/records": writers,
	}
	d := open(t, withTLS)
	bodies := map[string]string{
		"POST /v1/hold": `{"target":"*","reason":"a test"}`, "POST /v1/resume": `{"target":"*"}`,
		"POST /v1/proofs":           `{"sha256":"` + strings.Repeat("00", 32) + `","verdict":"proved","accepted_records":1,"compared_records":1}`,
		"POST /v1/quarantine/retry": `{"id":"orders/0@1"}`, "POST /v1/quarantine/discard": `{"id":"orders/0@1","reason":"a test"}`,
		"POST /v3/clusters/{cluster}/topics/{topic}/records": `{"value":null}`, "POST /v1/topics/{topic}": `{}`,
	}
	fill := strings.NewReplacer("{topic}", "orders", "{cluster}", "other", "{batch}", "0@1")
	for _, rt := range api.Routes() {
		name := rt.Method + " " + rt.Path
		w, there := want[name]
		if !there {
			t.Errorf("%s has no row in this table: say who may", name)
			continue
		}
		delete(want, name)
		if rt.Kind == api.Changing && (w.nobody || w.producer || w.viewer) {
			t.Errorf("%s changes something and is open to %+v", name, w)
		}
		for _, c := range []struct {
			who string
			may bool
			as  func(*http.Request)
		}{
			{"nobody", w.nobody, nil}, {"producer", w.producer, basic("producer", marker)}, {"viewer", w.viewer, basic("viewer", marker)},
			{"operator", w.operator, basic("operator", marker)}, {"admin", w.admin, basic("admin", marker)},
		} {
			contentType := "application/json"
			if rt.Path == "/v1/topics/{topic}" {
				contentType = "application/x-ndjson"
			}
			status, h, answer := d.ask(rt.Method, fill.Replace(rt.Path), bodies[name], c.as, "Content-Type", contentType)
			passed := status != http.StatusUnauthorized && status != http.StatusForbidden
			if status == 0 || passed != c.may {
				t.Errorf("%s as %s: %d, may: %v\n%s", name, c.who, status, c.may, answer)
			}
			if passed {
				continue
			}
			if c.who == "nobody" && (status != 401 || len(h.Values("WWW-Authenticate")) != 2) {
				t.Errorf("%s as nobody: %d %v", name, status, h)
			}
			var p struct{ Title, Detail, Try, Stored string }
			if err := json.Unmarshal([]byte(answer), &p); err != nil || p.Title == "" || p.Detail == "" || p.Try == "" || (p.Stored == "none") != (rt.Kind == api.Ingest) {
				t.Errorf("%s as %s: %s", name, c.who, answer)
			}
			if c.who != "nobody" && (status != 403 || !strings.Contains(p.Detail, c.who)) {
				t.Errorf("%s as %s: %d %s", name, c.who, status, answer)
			}
		}
	}
	for name := range want {
		t.Errorf("%s is in this table and not served", name)
	}
	for _, line := range []string{
		`audit.user=operator audit.role=operator audit.by=basic`, `audit.what="POST /v1/hold" audit.target=* audit.reason="a test" audit.result=done audit.status=200`,
		`audit.user=(nobody)`, `audit.result=denied audit.status=403`,
	} {
		if !d.logs.has(line) {
			t.Errorf("the audit does not say %s", line)
		}
	}
	_, _, page := d.ask(http.MethodGet, "/metrics", "", basic("viewer", marker))
	for _, series := range []string{
		`streamdown_changes_total{result="done",route="/v1/hold",user="operator"} 1`, `streamdown_changes_total{result="denied",route="/v1/hold",user="(nobody)"} 1`,
		`streamdown_changes_total{result="denied",route="/-/reload",user="viewer"} 1`, `streamdown_http_logins_total{mechanism="none",outcome="no_login"} `,
		`streamdown_http_user_requests_total{user="producer"} `,
	} {
		if !strings.Contains(page, series) {
			t.Errorf("no %s in /metrics", series)
		}
	}
}

// Each way to log in works, each wrong one is refused with words, and rights to topics are those of the Kafka port.
func TestWhoSendsRecordsOverHTTPMayWriteToTheTopic(t *testing.T) {
	d := open(t, withTLS)
	named := func(name string) tls.Certificate {
		return d.ca.Issue(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: name} }).TLS
	}
	strangers := authority.New("strangers")
	post := func(c *http.Client, topic string, as func(*http.Request)) (int, string) {
		status, _, answer := d.askBy(c, http.MethodPost, "/v1/topics/"+topic, `{}`, as, "Content-Type", "application/x-ndjson")
		return status, answer
	}
	waitForTopic := func() {
		deadline := time.After(2 * time.Minute)
		for {
			if status, _ := post(d.client(), "orders", basic("producer", marker)); status == 200 || status == 202 {
				return
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-deadline:
				t.Fatal("the topic is not seen")
			}
		}
	}
	waitForTopic()
	for i, c := range []struct {
		name   string
		client *http.Client
		topic  string
		as     func(*http.Request)
		status int
		says   string
	}{
		{"a password", d.client(), "orders", basic("producer", marker), 202, ""},
		{"a password, again", d.client(), "orders", basic("producer", marker), 202, ""},
		{"a certificate", d.client(named("cert")), "orders", nil, 202, ""},
		{"a topic of others", d.client(), "clicks", basic("producer", marker), 403, `user \"producer\" may not write to topic \"clicks\"`},
		{"a verifier", d.client(), "orders", basic("carol", marker), 403, `user \"carol\" may not write`},
		{"a token", d.client(), "orders", bearer(d.token("ted", time.Hour)), 403, `user \"ted\" may not write`},
		{"admins are no writers", d.client(), "orders", basic("admin", marker), 403, `user \"admin\" may not write`},
		{"a certificate of nobody", d.client(named("mallory")), "orders", nil, 403, `user \"mallory\" may not write`},
		{"a certificate without a rule", d.client(named("NOBODY")), "orders", nil, 401, "means no user"},
		{"the login goes before the certificate", d.client(named("cert")), "orders", basic("carol", marker), 403, "carol"},
		{"a certificate of strangers", insistent(d.client(), strangers.Issue(nil).TLS), "orders", nil, 0, ""}, // an alert, or only a broken pipe
		{"nothing", d.client(), "orders", nil, 401, "no login"},
		{"a wrong password", d.client(), "orders", basic("producer", "x"), 401, "wrong user name or password"},
		{"a wrong password for a verifier", d.client(), "orders", basic("carol", "x"), 401, "wrong user name or password"},
		{"an unknown user", d.client(), "orders", basic("mallory", marker), 401, "wrong user name or password"},
		{"an expired token", d.client(), "orders", bearer(d.token("ted", -time.Hour)), 401, "it expired at"},
		{"a token of nobody", d.client(), "orders", bearer(d.token("mallory", time.Hour)), 401, "not known"},
	} {
		if status, answer := post(from(c.client, byte(i+1)), c.topic, c.as); status != c.status && (c.status != 202 || status != 200) || !strings.Contains(answer, c.says) {
			t.Errorf("%s: %d %s", c.name, status, answer)
		}
	}
	if !d.logs.has("reason=wrong_password") || !d.logs.has("claimed_user=mallory") {
		t.Error("the log does not say why logins were refused")
	}
	// Keys belong to users: another one does not get the answer to the first one's.
	once := func(c *http.Client, as func(*http.Request)) string {
		_, h, _ := d.askBy(c, http.MethodPost, "/v1/topics/orders", `{"once":1}`, as, "Content-Type", "application/x-ndjson", "Idempotency-Key", `"k1"`)
		return h.Get("Idempotency-Replayed")
	}
	if once(d.client(), basic("producer", marker)) != "" || once(d.client(), basic("producer", marker)) != "true" || once(d.client(named("cert")), nil) != "" {
		t.Error("an Idempotency-Key is not its user's own")
	}
}

// Plain HTTP at a port with TLS, and TLS at one without, are told so; the version of TLS is bounded.
func TestWrongTLSIsTurnedAway(t *testing.T) {
	d := open(t, withTLS)
	plain := strings.Replace(d.url, "https", "http", 1)
	resp, err := http.Get(plain + "/healthz") //nolint:noctx // a test
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Fatal(resp, err)
	}
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(b), "HTTPS") {
		t.Errorf("%s %v", b, err)
	}
	old := d.client()
	old.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS11
	if status, _, answer := d.askBy(old, http.MethodGet, "/healthz", "", nil); status != 0 {
		t.Errorf("TLS 1.1: %d %s", status, answer)
	}
	if status, _, _ := d.askBy(d.client(), http.MethodGet, "/healthz", "", nil); status != 200 {
		t.Errorf("%d", status)
	}
	huge := d.client()
	huge.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	if status, _, _ := d.askBy(huge, http.MethodGet, "/v1/status", "", bearer(strings.Repeat("x", 64<<10))); status != http.StatusRequestHeaderFieldsTooLarge && status != 0 { // or cut off in the middle of it
		t.Errorf("a huge header: %d", status)
	}
}

// A page in a browser may change nothing, with a login (the browser sends it by itself) and without.
func TestPagesOfOthersChangeNothing(t *testing.T) {
	for name, h := range map[string]string{"with a login": `address: "127.0.0.1:0"`, "without": `address: "127.0.0.1:0", login: off`} {
		d := open(t, h)
		for _, rt := range api.Routes() {
			if rt.Kind != api.Changing {
				continue
			}
			for _, header := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Origin", "null"}} {
				if status, _, answer := d.ask(rt.Method, rt.Path, `{"target":"*","reason":"evil"}`, basic("admin", marker), header...); status != http.StatusForbidden {
					t.Errorf("%s: %s %s with %v: %d %s", name, rt.Method, rt.Path, header, status, answer)
				}
			}
			if name == "without" {
				rebound := func(r *http.Request) { r.Host = "evil.example" }
				if status, _, answer := d.ask(rt.Method, rt.Path, `{"target":"*","reason":"evil"}`, rebound); status != http.StatusMisdirectedRequest {
					t.Errorf("%s %s by another name: %d %s", rt.Method, rt.Path, status, answer)
				}
			}
		}
		if holds := d.Status(t.Context()).Holds; len(holds) > 0 {
			t.Errorf("%s: %v", name, holds)
		}
		if name == "without" {
			if status, _, answer := d.ask(http.MethodPost, "/v1/hold", `{"target":"*","reason":"mine"}`, nil); status != 200 || !d.logs.has("audit.user=(local) audit.role=admin") {
				t.Errorf("from this machine: %d %s", status, answer)
			}
		}
	}
}

func TestMetricsMayBeOpen(t *testing.T) {
	d := open(t, `address: "127.0.0.1:0", metrics: open`)
	if status, _, _ := d.ask(http.MethodGet, "/metrics", "", nil); status != 200 {
		t.Error(status)
	}
	if status, _, _ := d.ask(http.MethodGet, "/v1/status", "", nil); status != 401 {
		t.Error(status)
	}
}

// TestNoOutputShowsASecret logs in well and badly in every way and looks through all that comes out.
func TestNoOutputShowsASecret(t *testing.T) {
	d := open(t, withTLS)
	const tried = "marker-of-a-wrong-password"
	token, expired := d.token("ted", time.Hour), d.token("ted", -time.Hour)
	var out bytes.Buffer
	for i, as := range []func(*http.Request){
		nil, basic("admin", marker), basic("carol", marker), basic("admin", tried), basic(tried, tried), bearer(token), bearer(expired), bearer(tried),
		func(r *http.Request) { r.Header.Set("Authorization", tried) },
		func(r *http.Request) { r.Header.Set("Authorization", "Basic "+tried) },
		func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + token, "Basic " + tried} },
	} {
		for _, rt := range api.Routes() {
			if rt.Kind == api.Reading || rt.Kind == api.Scraped || rt.Path == "/-/reload" {
				status, h, answer := d.askBy(from(d.client(), byte(i+1)), rt.Method, rt.Path, "", as)
				fmt.Fprintln(&out, status, h, answer)
			}
		}
	}
	signature := func(token string) string { return token[strings.LastIndexByte(token, '.')+1:] }
	st := d.Status(t.Context())
	hidden := struct{ users auth.Config }{d.cfg.Auth}
	for _, verb := range []string{"%v\n", "%+v\n", "%#v\n", "%s\n", "%q\n", "%x\n", "%d\n"} {
		for _, v := range []any{st, d.cfg, *d.cfg, hidden, &hidden} {
			fmt.Fprintf(&out, verb, v)
		}
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("all", "hidden", hidden, "cfg", d.cfg, "users", d.cfg.Auth.Users)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("all", "cfg", d.cfg.Auth.Users, "hidden", hidden)
	out.Write(d.cfg.Show())
	_, keys, _ := strings.Cut(d.cfg.Auth.Users[4].SCRAM[0].Reveal(), ":")
	parts := append(strings.FieldsFunc(keys, func(r rune) bool { return r == '$' || r == ':' }), marker, fmt.Sprintf("%x", marker), signature(token), signature(expired))
	look := func(where, text string) {
		t.Helper()
		for i, secret := range parts {
			if strings.Contains(text, secret) {
				at := strings.Index(text, secret)
				t.Errorf("%s shows secret %d: …%.60q", where, i, text[max(0, at-60):at])
			}
		}
	}
	look("an answer or a dump", out.String())
	d.logs.mu.Lock()
	text := d.logs.text.String()
	d.logs.mu.Unlock()
	look("the log", text)
	if strings.Contains(text, "password="+tried) || strings.Count(text, tried) > strings.Count(text, "claimed_user="+tried) {
		t.Error("the log shows what was tried")
	}
}
