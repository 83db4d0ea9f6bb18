package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/auth"
)

var loopbackIPs = []net.IP{net.IPv4(127, 0, 0, 1)}

// people are the users of these tests: alice has a password, bob verifiers only.
func people(t testing.TB) auth.Config {
	t.Helper()
	var verifiers []auth.Verifier
	for _, m := range []auth.Mechanism{auth.SCRAM256, auth.SCRAM512} {
		v, err := auth.NewVerifier(m, "bobs-secret", auth.MinIterations)
		if err != nil {
			t.Fatal(err)
		}
		verifiers = append(verifiers, v)
	}
	return auth.Config{
		Mechanisms: auth.SASL[:2:2],
		Users: []auth.User{
			{Name: "alice", Password: streamdown.NewSecret("alices-secret"), Topics: []streamdown.Glob{"t", "alice.*"}},
			{Name: "bob", SCRAM: verifiers, Topics: []streamdown.Glob{"*"}},
			{Name: "eve", Password: streamdown.NewSecret("eves-secret")},
		},
	}
}

func passwords() []auth.Mechanism { return []auth.Mechanism{auth.SCRAM512, auth.SCRAM256, auth.Plain} }

func authorityOf(t testing.TB, c auth.Config) *auth.Authority {
	t.Helper()
	a, err := auth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// withLogins is a config whose clients log in with passwords.
func withLogins(t testing.TB) Config {
	t.Helper()
	c := people(t)
	c.Mechanisms = passwords()
	return Config{SASL: passwords(), Auth: authorityOf(t, c)}
}

func credentialsOf(name, password string) map[string]sasl.Mechanism {
	s := scram.Auth{User: name, Pass: password}
	return map[string]sasl.Mechanism{
		"PLAIN":         plain.Auth{User: name, Pass: password}.AsMechanism(),
		"SCRAM-SHA-256": s.AsSha256Mechanism(), "SCRAM-SHA-512": s.AsSha512Mechanism(),
	}
}

func TestFranzGoLogsInWithEachMechanismPlainAndTLS(t *testing.T) {
	ca := newAuthority(t, "root")
	for _, encrypted := range []bool{false, true} {
		m := newMemory("t")
		cfg := withLogins(t)
		var opts []kgo.Opt
		if encrypted {
			cert, key := ca.forServer().files(t, t.TempDir())
			cfg.TLS = &auth.TLS{Cert: cert, Key: key}
			opts = append(opts, kgo.DialTLSConfig(&tls.Config{RootCAs: pool(ca.cert)}))
		}
		s := serve(t, cfg, m, m)
		want := int64(0)
		for user, password := range map[string]string{"alice": "alices-secret", "bob": "bobs-secret"} {
			for name, mechanism := range credentialsOf(user, password) {
				t.Run(user+" "+name, func(t *testing.T) {
					produceAll(t, s.addr, "t", 100, append(opts, kgo.SASL(mechanism))...)
					if want += 100; m.records("t") != want {
						t.Errorf("%d records, want %d", m.records("t"), want)
					}
				})
			}
		}
	}
}

// text is a log that can be read while it is written.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *text) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *text) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestWrongLoginsAreNamed(t *testing.T) {
	m := newMemory("t")
	for name := range credentialsOf("", "") {
		for _, c := range []struct{ user, password, reason string }{
			{"alice", "not-it-at-all", "wrong_password"},
			{"bob", "alices-secret", "wrong_password"},
			{"nobody", "alices-secret", "unknown_user"},
		} {
			t.Run(name+" "+c.reason+" "+c.user, func(t *testing.T) {
				var log text
				cfg := withLogins(t)
				cfg.Logger = logTo(&log)
				s := serve(t, cfg, m, m)
				ctx, cancel := context.WithTimeout(t.Context(), testTime)
				defer cancel()
				cl := newClient(t, s.addr, kgo.SASL(credentialsOf(c.user, c.password)[name]))
				began := time.Now()
				err := cl.Ping(ctx)
				took := time.Since(began)
				if err == nil || !strings.Contains(err.Error(), "wrong user name or password") {
					t.Errorf("the client hears %v", err)
				}
				t.Logf("after %v", took)
				log.says(t, "reason="+c.reason, "claimed_user="+c.user)
				if strings.Contains(log.String(), c.password) {
					t.Errorf("the log shows the password: %s", log.String())
				}
				if s.Stats().Logins[Login{name, c.reason}] == 0 {
					t.Errorf("counted %v", s.Stats().Logins)
				}
			})
		}
	}
	if m.records("t") != 0 {
		t.Error("somebody wrote")
	}
}

func TestUsersWriteToTheirTopicsAndSeeNoOthers(t *testing.T) {
	m := newMemory("t", "alice.orders", "secret")
	a := authorityOf(t, auth.Config{Mechanisms: passwords(), Users: people(t).Users})
	s := serve(t, Config{SASL: passwords(), Auth: a}, m, m)
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	defer cancel()
	alice := newClient(t, s.addr, kgo.SASL(credentialsOf("alice", "alices-secret")["SCRAM-SHA-256"]), kgo.AllowAutoTopicCreation())
	for topic, want := range map[string]error{
		"t": nil, "alice.orders": nil, "alice.new": nil, "secret": kerr.TopicAuthorizationFailed, "new": kerr.TopicAuthorizationFailed,
	} {
		if err := alice.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr(); err != want {
			t.Errorf("%s: %v, want %v", topic, err, want)
		}
	}
	if m.records("secret") != 0 || m.records("new") != 0 || len(m.created) != 1 {
		t.Errorf("written or created where it is not allowed: %v", m.created)
	}

	// What one may not see is not listed, and asking for it by name or id gives nothing away.
	p := dial(t, s.addr)
	p.login("alice", "alices-secret")
	all := metadataOf(9, false)
	all.Topics = nil
	r := described(9)
	p.ask(all, r)
	var names []string
	for _, topic := range r.Topics {
		names = append(names, *topic.Topic)
	}
	if got := strings.Join(names, " "); got != "alice.new alice.orders t" {
		t.Errorf("listed: %s", got)
	}
	byID := metadataOf(12, false)
	topic := kmsg.NewMetadataRequestTopic()
	topic.TopicID = m.Cluster().Topics["secret"].ID
	byID.Topics = []kmsg.MetadataRequestTopic{topic}
	r = described(12)
	p.ask(byID, r)
	if got := r.Topics[0]; got.ErrorCode != codeTopicNotAllowed || got.Topic != nil || len(got.Partitions) > 0 {
		t.Errorf("by id: %+v", got)
	}
	// A client that does not ask first is refused all the same, partition by partition.
	produce := produceOf(9, -1, "secret", 0, 1)
	answer := produced(9)
	p.ask(produce, answer)
	for _, part := range answer.Topics[0].Partitions {
		if part.ErrorCode != codeTopicNotAllowed || part.ErrorMessage == nil || !strings.Contains(*part.ErrorMessage, "auth.users") {
			t.Errorf("produce: %+v", part)
		}
	}

	// A user without topics gets no producer id either.
	e := dial(t, s.addr)
	e.login("eve", "eves-secret")
	id := kmsg.NewPtrInitProducerIDRequest()
	id.Version = 4
	given := kmsg.NewPtrInitProducerIDResponse()
	given.Version = 4
	if e.ask(id, given); given.ErrorCode != codeClusterNotAllowed {
		t.Errorf("producer id: %+v", given)
	}
	st := s.Stats()
	if st.Users["eve"] != 1 || st.Users["alice"] < 2 {
		t.Errorf("users: %v", st.Users)
	}
}

// TestARevokedRightIsGoneAtOnce: on the connection that is open, with the primary away.
func TestARevokedRightIsGoneAtOnce(t *testing.T) {
	m := newMemory("t")
	users := people(t)
	users.Mechanisms = passwords()
	a := authorityOf(t, users)
	s := serve(t, Config{SASL: passwords(), Auth: a}, m, m)
	p := dial(t, s.addr)
	p.login("alice", "alices-secret")
	ask := func() int16 {
		r := produced(9)
		p.ask(produceOf(9, -1, "t", 0), r)
		return r.Topics[0].Partitions[0].ErrorCode
	}
	if code := ask(); code != 0 {
		t.Fatalf("refused with %d", code)
	}
	m.set(func(m *memory) { m.cluster.At = time.Now().Add(-time.Hour) }) // nobody has answered for an hour
	users.Users[0].Topics = []streamdown.Glob{"other"}
	if err := a.Update(users); err != nil {
		t.Fatal(err)
	}
	if code := ask(); code != codeTopicNotAllowed {
		t.Errorf("code %d after the right was taken away", code)
	}
	users.Users = users.Users[1:]
	if err := a.Update(users); err != nil {
		t.Fatal(err)
	}
	if code := ask(); code != codeTopicNotAllowed {
		t.Errorf("code %d after the user was taken away", code)
	}
	if m.records("t") != 1 {
		t.Errorf("%d records", m.records("t"))
	}
}

// login logs in with PLAIN.
func (p *peer) login(user, password string) {
	p.t.Helper()
	if r := p.authenticate(user, password); r.ErrorCode != 0 {
		p.t.Fatalf("login: code %d %v", r.ErrorCode, *r.ErrorMessage)
	}
}

func (p *peer) authenticate(user, password string) *kmsg.SASLAuthenticateResponse {
	p.t.Helper()
	h := p.handshake(1, "PLAIN")
	if h.ErrorCode != 0 {
		p.t.Fatalf("handshake: code %d", h.ErrorCode)
	}
	q := kmsg.NewPtrSASLAuthenticateRequest()
	q.Version, q.SASLAuthBytes = 2, []byte("\x00"+user+"\x00"+password)
	r := kmsg.NewPtrSASLAuthenticateResponse()
	r.Version = 2
	p.ask(q, r)
	return r
}

func (p *peer) handshake(version int16, mechanism string) *kmsg.SASLHandshakeResponse {
	p.t.Helper()
	q := kmsg.NewPtrSASLHandshakeRequest()
	q.Version, q.Mechanism = version, mechanism
	r := kmsg.NewPtrSASLHandshakeResponse()
	r.Version = version
	p.ask(q, r)
	return r
}
