package node_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/node"
	"github.com/streamdown/streamdown/test/authority"
)

// plan is a config file in parts that tests change.
type plan struct {
	file, dir, bootstrap string
	users, data, streams string
	limits, mechanisms   string
	level                string
	env                  map[string]string
}

func newPlan(t *testing.T, bootstrap string) *plan {
	dir := t.TempDir()
	return &plan{
		file: filepath.Join(dir, "streamdown.yaml"), dir: filepath.Join(dir, "data"), bootstrap: bootstrap,
		users:   `[{ name: shop, password: "${SHOP}", topics: [orders] }, { name: web, password: "${SHOP}", topics: [orders, clicks] }]`,
		streams: `[{ name: all, topics: ["*"], to: primary, acks: wal }]`,
		env:     map[string]string{"SHOP": marker},
	}
}

func (p *plan) write(t *testing.T) {
	t.Helper()
	src := fmt.Sprintf(`version: 1
log: { level: %s }
listen:
  kafka: { address: "127.0.0.1:0", sasl: { mechanisms: [%s] }%s }
  http: { address: "127.0.0.1:0", login: "off" }
auth: { users: %s }
data: { dir: %q%s }
systems: { primary: { kafka: { bootstrap.servers: %q } } }
streams: %s
`, cmp.Or(p.level, "info"), cmp.Or(p.mechanisms, "SCRAM-SHA-512"), p.limits, p.users, p.dir, p.data, p.bootstrap, p.streams)
	if err := os.WriteFile(p.file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *plan) load() (*config.Config, config.Findings) {
	src, err := os.ReadFile(p.file)
	if err != nil {
		return nil, config.Findings{{File: p.file, Text: err.Error()}}
	}
	return config.Parse(p.file, src, func(name string) (string, bool) { v, ok := p.env[name]; return v, ok })
}

func (p *plan) run(t *testing.T) *running {
	t.Helper()
	p.write(t)
	cfg, findings := p.load()
	if cfg == nil {
		t.Fatal(findings)
	}
	logs, level := &journal{}, &slog.LevelVar{}
	n, err := node.Open(node.Options{
		Config: cfg, Logger: slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: level})), Level: level, Source: &node.Source{File: p.file, Load: p.load},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{Node: n, logs: logs, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.left, r.err = n.Run(ctx)
	}()
	return r
}

func (r *running) client(t *testing.T, user, password string) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(r.KafkaAddr()), kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()),
		kgo.RecordDeliveryTimeout(time.Minute), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.AllISRAcks()),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// post asks for a reload over HTTP.
func (r *running) post(t *testing.T, query string) (status int, done api.Reloaded, findings []api.ConfigFinding) {
	t.Helper()
	resp, err := http.Post("http://"+r.HTTPAddr()+"/-/reload"+query, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(body), marker) {
		t.Errorf("a secret is in the answer: %s", body)
	}
	var p struct{ Findings []api.ConfigFinding }
	if resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(body, &done)
	} else {
		err = json.Unmarshal(body, &p)
	}
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return resp.StatusCode, done, p.Findings
}

func (r *running) page(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + r.HTTPAddr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func keys(changes []api.ConfigChange) (list []string) {
	for _, c := range changes {
		list = append(list, c.Key)
	}
	return list
}

// TestARevokedRightCountsAtOnceDuringAnOutage: Kafka is away, a producer is acked from the log, and its right is taken by a
// reload. Its next request, on the same connection, is refused; that of others is not.
func TestARevokedRightCountsAtOnceDuringAnOutage(t *testing.T) {
	c := cluster(t, t.TempDir())
	p := newPlan(t, c.ListenAddrs()[0])
	r := p.run(t)
	defer r.stop(t)
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	write := func(cl *kgo.Client, topic string) error {
		return cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr()
	}
	shop, web := r.client(t, "shop", marker), r.client(t, "web", marker)
	for _, cl := range []*kgo.Client{shop, web} {
		if err := write(cl, "orders"); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	for _, cl := range []*kgo.Client{shop, web} {
		if err := write(cl, "orders"); err != nil {
			t.Fatalf("from the log: %v", err)
		}
	}
	before := r.Status(ctx).Gateway.Accepted

	p.users = strings.Replace(p.users, "topics: [orders] }", "topics: [returns] }", 1)
	p.write(t)
	status, reloaded, findings := r.post(t, "")
	if status != 200 || fmt.Sprint(keys(reloaded.Applied)) != "[auth.users[shop].topics]" || len(reloaded.NeedsRestart) != 0 {
		t.Fatalf("%d %+v %v", status, reloaded, findings)
	}
	if err := write(shop, "orders"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("after its right was revoked: %v", err)
	}
	if err := write(web, "orders"); err != nil {
		t.Errorf("whose right stands: %v", err)
	}
	if now := r.Status(ctx).Gateway.Accepted; now != before {
		t.Errorf("connections were made anew: %d before, %d now", before, now)
	}
	if !r.logs.has("config reloaded") || !r.logs.has("auth.users[shop].topics") {
		t.Error("the log does not say what changed")
	}

	// Who is removed may nothing at once, and who is new may come in.
	p.users = `[{ name: web, password: "${SHOP}", topics: [orders] }, { name: late, password: "${SHOP}", topics: [orders] }]`
	p.write(t)
	if status, reloaded, findings := r.post(t, ""); status != 200 {
		t.Fatalf("%d %+v %v", status, reloaded, findings)
	}
	if err := write(r.client(t, "late", marker), "orders"); err != nil {
		t.Errorf("who is new: %v", err)
	}
	if err := r.client(t, "shop", marker).Ping(ctx); err == nil {
		t.Error("who was removed logs in")
	}
}

// TestAReloadThatFindsAnErrorChangesNothing: everything is checked first, and every finding is said with its place.
func TestAReloadThatFindsAnErrorChangesNothing(t *testing.T) {
	c := cluster(t, t.TempDir())
	defer c.Close()
	p := newPlan(t, c.ListenAddrs()[0])
	r := p.run(t)
	defer r.stop(t)
	ctx := t.Context()
	const ok, stamp = "streamdown_config_last_reload_successful ", "streamdown_config_last_reload_success_timestamp_seconds "
	if page := r.page(t, "/metrics"); !strings.Contains(page, ok+"1\n") || !strings.Contains(page, stamp) {
		t.Errorf("no %s1 at the start", ok)
	}
	was := r.Status(ctx).Config
	if was.File != p.file || len(was.Hash) != 64 || was.LoadedAt.IsZero() || was.Failure != nil {
		t.Errorf("%+v", was)
	}

	good, streams := p.users, p.streams
	p.users, p.streams = `[{ name: shop, pasword: "${SHOP}", topics: [orders] }]`, `[{ name: all, topics: ["*"], to: nowhere }]`
	p.write(t)
	status, _, findings := r.post(t, "")
	if status != http.StatusBadRequest || len(findings) < 2 {
		t.Fatalf("%d %+v", status, findings)
	}
	for _, want := range []string{":6:31: auth.users[0].pasword: unknown key (did you mean \"password\"?)", ":9:43: streams[0].to: "} {
		if all := fmt.Sprint(findings); !strings.Contains(all, p.file+want) {
			t.Errorf("no finding %s in %s", want, all)
		}
	}
	if page := r.page(t, "/metrics"); !strings.Contains(page, ok+"0\n") {
		t.Errorf("no %s0 after a failure", ok)
	}
	now := r.Status(ctx).Config
	if now.Hash != was.Hash || !now.LoadedAt.Equal(was.LoadedAt) || now.Failure == nil || len(now.Failure.Findings) != len(findings) {
		t.Errorf("%+v", now)
	}
	if err := r.client(t, "web", marker).ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(); err != nil {
		t.Errorf("the users from before: %v", err)
	}
	if !r.logs.has("config not reloaded") || !r.logs.has("did you mean") {
		t.Error("the log does not say why")
	}

	p.users, p.streams = good, streams
	p.write(t)
	if status, done, findings := r.post(t, ""); status != 200 || len(done.Applied)+len(done.NeedsRestart) != 0 {
		t.Errorf("%d %+v %+v", status, done, findings)
	}
	if now := r.Status(ctx).Config; now.Failure != nil || !now.LoadedAt.After(was.LoadedAt) {
		t.Errorf("%+v", now)
	}
	if err := os.Remove(p.file); err != nil {
		t.Fatal(err)
	}
	if status, _, findings := r.post(t, ""); status != http.StatusBadRequest || len(findings) != 1 {
		t.Errorf("without a file: %d %+v", status, findings)
	}
}

// TestWhatNeedsARestartIsNamedAndTheRestApplied.
func TestWhatNeedsARestartIsNamedAndTheRestApplied(t *testing.T) {
	c := cluster(t, t.TempDir())
	defer c.Close()
	p := newPlan(t, c.ListenAddrs()[0])
	r := p.run(t)
	defer r.stop(t)
	dir := p.dir
	if r.logs.has("level=DEBUG") {
		t.Error("more is logged than the config says")
	}
	p.level = "debug"
	p.dir, p.data, p.limits = p.dir+"-other", ", scrub: 1MiB/s", ", max_connections: 50"
	p.env["SHOP"] = marker + "-renewed"
	p.streams = `[{ name: few, topics: ["orders"], to: primary, acks: remote, ack_patience: 2s }, { name: all, topics: ["*"], to: primary, acks: wal }]`
	p.write(t)

	status, would, findings := r.post(t, "?dry_run=true")
	if status != 200 || !would.DryRun {
		t.Fatalf("%d %+v", status, findings)
	}
	if st := r.Status(t.Context()); st.Log.Scrub.BytesPerSecond != 8<<20 || st.Config.Hash != would.Config.Hash {
		t.Errorf("a dry run changed something: %+v", st.Config)
	}
	status, did, findings := r.post(t, "")
	if status != 200 || fmt.Sprint(keys(did.Applied)) != fmt.Sprint(keys(would.Applied)) {
		t.Fatalf("%d %+v, the dry run said %+v; %v", status, did, would, findings)
	}
	applied := strings.Join(keys(did.Applied), " ")
	for _, key := range []string{"listen.kafka.max_connections", "auth.users[shop].password", "auth.users[web].password", "data.scrub", "streams[few].acks"} {
		if !strings.Contains(applied, key) {
			t.Errorf("%s is not among what was applied: %s", key, applied)
		}
	}
	if got := keys(did.NeedsRestart); fmt.Sprint(got) != "[data.dir]" {
		t.Errorf("needs a restart: %v", got)
	}
	st := r.Status(t.Context())
	if st.Log.Dir != dir || st.Log.Scrub.BytesPerSecond != 1<<20 || fmt.Sprint(st.Config.NeedsRestart) != "[data.dir]" {
		t.Errorf("%s %+v %+v", st.Log.Dir, st.Log.Scrub, st.Config)
	}
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	if err := r.client(t, "shop", marker).Ping(ctx); err == nil {
		t.Error("the old password is good")
	}
	cl := r.client(t, "web", marker+"-renewed")
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(); err != nil {
		t.Errorf("the new password: %v", err)
	}
	for _, page := range []string{"/v1/config", "/v1/status", "/metrics"} {
		if text := r.page(t, page); strings.Contains(text, marker) || page == "/v1/config" && !strings.Contains(text, "redacted") {
			t.Errorf("%s: %s", page, text)
		}
	}
	if r.logs.has(marker) {
		t.Error("a secret is in the log")
	}
	if !r.logs.has("level=DEBUG") {
		t.Error("the level did not change")
	}
	if _, again, _ := r.post(t, ""); len(again.Applied) != 0 || fmt.Sprint(keys(again.NeedsRestart)) != "[data.dir]" {
		t.Errorf("the second time: %+v", again)
	}
}

// TestATopicWithUndeliveredRecordsKeepsAStream: what was acked under a stream is delivered under one.
func TestATopicWithUndeliveredRecordsKeepsAStream(t *testing.T) {
	c := cluster(t, t.TempDir())
	p := newPlan(t, c.ListenAddrs()[0])
	r := p.run(t)
	defer r.stop(t)
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	cl := r.client(t, "web", marker)
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	p.streams = `[{ name: all, topics: ["clicks"], to: primary, acks: wal }]`
	p.write(t)
	status, _, findings := r.post(t, "")
	if status != http.StatusBadRequest || !strings.Contains(fmt.Sprint(findings), "no stream takes orders any more") {
		t.Errorf("%d %v", status, findings)
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(); err != nil {
		t.Errorf("under the config from before: %v", err)
	}
}

// TestCertificatesAndMechanismsChangeForNewConnections, and a certificate that cannot be used leaves everything, the users
// too, as it was.
func TestCertificatesAndMechanismsChangeForNewConnections(t *testing.T) {
	c := cluster(t, t.TempDir())
	defer c.Close()
	p := newPlan(t, c.ListenAddrs()[0])
	dir := filepath.Dir(p.file)
	ca := authority.New("clients trust this")
	for _, name := range []string{"one", "two"} {
		pair := ca.Issue(func(c *x509.Certificate) { c.DNSNames = []string{name + ".example"} })
		for file, text := range map[string]string{name + ".crt": pair.Cert, name + ".key": pair.Key} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	use := func(name string) {
		p.limits = fmt.Sprintf(", tls: { cert: %q, key: %q }", filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
		p.write(t)
	}
	use("one")
	r := p.run(t)
	defer r.stop(t)
	shown := func() string {
		conn, err := tls.Dial("tcp", r.KafkaAddr(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // which one it is, is the question
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	if got := shown(); got != "one.example" {
		t.Fatal(got)
	}
	p.mechanisms = "PLAIN"
	if use("two"); true {
		if status, did, findings := r.post(t, ""); status != 200 || len(did.NeedsRestart) != 0 {
			t.Fatalf("%d %+v %v", status, did, findings)
		}
	}
	if got := shown(); got != "two.example" {
		t.Error(got)
	}
	login := func(user string) error {
		cl, err := kgo.NewClient(
			kgo.SeedBrokers(r.KafkaAddr()), kgo.DialTLSConfig(&tls.Config{InsecureSkipVerify: true}), //nolint:gosec // as above
			kgo.SASL(plain.Auth{User: user, Pass: marker}.AsMechanism()),
		)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		ctx, done := context.WithTimeout(t.Context(), time.Minute)
		defer done()
		return cl.Ping(ctx)
	}
	if err := login("shop"); err != nil {
		t.Errorf("by the new mechanism: %v", err)
	}
	p.users = `[{ name: web, password: "${SHOP}", topics: [orders] }]`
	use("none")
	if status, _, _ := r.post(t, ""); status != http.StatusInternalServerError {
		t.Errorf("a certificate that is not there: %d", status)
	}
	if err := login("shop"); err != nil {
		t.Errorf("after a reload that came to nothing: %v", err)
	}
	if got := shown(); got != "two.example" || r.Status(t.Context()).Config.Failure == nil {
		t.Errorf("%s %+v", got, r.Status(t.Context()).Config)
	}
}
