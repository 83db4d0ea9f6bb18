package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/test/authority"
)

// marker is in every secret of these tests, and must be in no error and no log.
const marker = "hunter2"

// settings are credentials from "key=value" lines.
func settings(lines ...string) credentials.Settings {
	var s credentials.Settings
	for _, l := range lines {
		key, value, _ := strings.Cut(l, "=")
		s.Own = append(s.Own, credentials.Setting{Key: key, Value: credentials.Text(value)})
	}
	return s
}

const (
	plainJAAS = `sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="gw" password="` + marker + `";`
	scramJAAS = `sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="gw" password="` + marker + `";`
)

func users() []kfake.Opt {
	return []kfake.Opt{
		kfake.EnableSASL(), kfake.Superuser("PLAIN", "gw", marker), kfake.Superuser("SCRAM-SHA-256", "gw", marker), kfake.Superuser("SCRAM-SHA-512", "gw", marker),
	}
}

func TestEveryLoginCarriesQuestionsAndBatches(t *testing.T) {
	ca := authority.New("brokers")
	server, ours := ca.Issue(nil).TLS, ca.Issue(nil)
	pool := ca.Pool()
	encrypted := kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server}})
	mutual := kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
	trust := "ssl.truststore.certificates=" + ca.PEM
	for _, tt := range []struct {
		name     string
		broker   []kfake.Opt
		settings []string
	}{
		{"TLS", []kfake.Opt{encrypted}, []string{"security.protocol=SSL", trust}},
		{"TLS 1.2", []kfake.Opt{encrypted}, []string{"security.protocol=SSL", trust, "ssl.enabled.protocols=TLSv1.2"}},
		{"mutual TLS", []kfake.Opt{mutual}, []string{"security.protocol=SSL", trust, "ssl.keystore.type=PEM", "ssl.keystore.certificate.chain=" + ours.Cert, "ssl.keystore.key=" + ours.Key}},
		{"PLAIN", users(), []string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", plainJAAS}},
		{"PLAIN over TLS", append(users(), encrypted), []string{"security.protocol=SASL_SSL", "sasl.mechanism=PLAIN", plainJAAS, trust}},
		{"SCRAM-SHA-256", users(), []string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=SCRAM-SHA-256", scramJAAS}},
		{"SCRAM-SHA-512 over TLS", append(users(), encrypted), []string{"security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-512", scramJAAS, "ssl.ca.pem=" + ca.PEM}},
		{"librdkafka's keys", append(users(), encrypted), []string{"security.protocol=sasl_ssl", "sasl.mechanisms=SCRAM-SHA-512", "sasl.username=gw", "sasl.password=" + marker, "ssl.ca.pem=" + ca.PEM}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, "orders")}, tt.broker...)...)
			if err != nil {
				t.Fatal(err)
			}
			defer fake.Close()
			c := clientOf(t, Config{Bootstrap: fake.ListenAddrs(), Credentials: settings(tt.settings...)})
			ctx := within(t, 2*time.Minute)
			if err := c.Probe(ctx); err != nil {
				t.Fatal(err)
			}
			cl, err := c.Look(ctx, []string{"orders"})
			if err != nil {
				t.Fatal(err)
			}
			part, topic, _ := cl.Partition(orders)
			pid, epoch, err := c.NewProducerID(ctx)
			if err != nil {
				t.Fatal(err)
			}
			replies := make(ear, 5)
			p, err := c.Dial(ctx, part.Leader, 5, replies.onReply)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			for i := range 5 { // the third is longer than what is encrypted at a time
				n := 1
				if i == 2 {
					n = 20_000
				}
				seq := int32(i)
				if i > 2 {
					seq += 19_999
				}
				if !p.Send(uint64(i), []sink.Parcel{parcelOf(t, orders, topic.ID, pid, epoch, seq, n)}) {
					t.Fatal("refuses to send")
				}
			}
			for i := range 5 {
				if h := replies.next(t, ctx); h.err != nil || h.tag != uint64(i) || h.answers[0].Class != sink.OK {
					t.Fatalf("%d: %+v", i, h)
				}
			}
		})
	}
}

// hangsUp has kfake do what Kafka does when a frame is announced that is too long: a TLS hello is one of 352 MiB.
var hangsUp = kfake.ListenFn(func(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return strictListener{l}, err
})

type strictListener struct{ net.Listener }

func (l strictListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return &strictConn{Conn: nc}, err
}

type strictConn struct {
	net.Conn
	begun bool
}

func (c *strictConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.begun && b[0] == 0x16 {
		_ = c.Close()
		return 0, io.EOF
	}
	c.begun = c.begun || n > 0
	return n, err
}

func TestWhatKeepsUsOutNamesItself(t *testing.T) {
	ca, other := authority.New("brokers"), authority.New("strangers")
	pool := ca.Pool()
	with := func(edit func(*x509.Certificate)) kfake.Opt {
		return kfake.TLS(&tls.Config{Certificates: []tls.Certificate{ca.Issue(edit).TLS}})
	}
	good, strange := ca.Issue(nil).TLS, other.Issue(nil)
	mutual := func(version uint16) kfake.Opt {
		return kfake.TLS(&tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: version})
	}
	trust := "ssl.truststore.certificates=" + ca.PEM
	says58 := func(fake *kfake.Cluster) {
		fake.ControlKey(36, func(req kmsg.Request) (kmsg.Response, error, bool) {
			fake.KeepControl()
			resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
			resp.ErrorCode, resp.ErrorMessage = 58, kmsg.StringPtr("Authentication failed: Invalid username or password\x1b[31m")
			return resp, nil, true
		})
	}
	offersOne := func(fake *kfake.Cluster) {
		fake.ControlKey(17, func(req kmsg.Request) (kmsg.Response, error, bool) {
			fake.KeepControl()
			resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
			resp.ErrorCode, resp.SupportedMechanisms = codeUnsupportedMechanism, []string{"GSSAPI", "OAUTHBEARER"}
			return resp, nil, true
		})
	}
	wantsNone := func(fake *kfake.Cluster) {
		fake.ControlKey(17, func(req kmsg.Request) (kmsg.Response, error, bool) {
			fake.KeepControl()
			resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
			resp.ErrorCode = codeIllegalSASLState
			return resp, nil, true
		})
	}
	scramTLS := []string{"security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-512", scramJAAS, trust}
	for _, tt := range []struct {
		name     string
		broker   []kfake.Opt
		control  func(*kfake.Cluster)
		settings []string
		cause    Cause
		says     []string
	}{
		{"wrong password", users(), says58, []string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", plainJAAS}, WrongLogin,
			[]string{"refuses the login of user gw by PLAIN", "Invalid username or password", "look at the user name and password"}},
		{"wrong password, SCRAM", users(), says58, []string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=SCRAM-SHA-256", scramJAAS}, WrongLogin,
			[]string{"user gw by SCRAM-SHA-256", "kafka-configs.sh"}},
		{"unsupported mechanism", users(), offersOne, []string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", plainJAAS}, NoMechanism,
			[]string{"does not take PLAIN", "it offers GSSAPI, OAUTHBEARER", "sasl.mechanism"}},
		{"a listener without logins", nil, wantsNone, []string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", plainJAAS}, LoginNotWanted,
			[]string{"takes no logins", "security.protocol to PLAINTEXT"}},
		{"unknown authority", []kfake.Opt{with(nil)}, nil, []string{"security.protocol=SSL", "ssl.truststore.certificates=" + other.PEM}, UnknownAuthority,
			[]string{`issued by "CN=brokers"`, "ssl.truststore.location"}},
		{"another host", []kfake.Opt{with(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"k1.example", "k2.example"} })}, nil,
			[]string{"security.protocol=SSL", trust}, WrongHost, []string{"for k1.example, k2.example and not for 127.0.0.1", "advertised.listeners"}},
		{"expired", []kfake.Opt{with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })}, nil,
			[]string{"security.protocol=SSL", trust}, Expired, []string{"ended on", "renewed"}},
		{"not yet", []kfake.Opt{with(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })}, nil,
			[]string{"security.protocol=SSL", trust}, Expired, []string{"not valid before", "clock"}},
		{"a client's certificate for a broker", []kfake.Opt{with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })}, nil,
			[]string{"security.protocol=SSL", trust}, Untrusted, []string{"cannot be trusted"}},
		{"TLS on a plain port", []kfake.Opt{hangsUp}, nil, []string{"security.protocol=SSL", trust}, ListenerPlain, []string{"does not speak TLS", "set security.protocol to PLAINTEXT"}},
		{"TLS on a plain port, with a login", append(users(), hangsUp), nil, scramTLS, ListenerPlain, []string{"set security.protocol to SASL_PLAINTEXT"}},
		{"plain on a TLS port", []kfake.Opt{with(nil)}, nil, []string{"security.protocol=PLAINTEXT"}, ListenerTLS, []string{"speaks TLS", "SSL or SASL_SSL"}},
		{"no certificate of ours", []kfake.Opt{mutual(0)}, nil, []string{"security.protocol=SSL", trust}, CertificateWanted, []string{"wants a certificate of ours", "ssl.keystore.location"}},
		{"no certificate of ours, TLS 1.2", []kfake.Opt{mutual(tls.VersionTLS12)}, nil, []string{"security.protocol=SSL", trust}, CertificateWanted, []string{"ssl.keystore.location"}},
		{"a stranger's certificate", []kfake.Opt{mutual(0)}, nil,
			[]string{"security.protocol=SSL", trust, "ssl.keystore.certificate.chain=" + strange.Cert, "ssl.keystore.key=" + strange.Key}, CertificateWanted,
			[]string{"refuses our certificate"}},
		{"no common version", []kfake.Opt{mutual(tls.VersionTLS12)}, nil, []string{"security.protocol=SSL", trust, "ssl.enabled.protocols=TLSv1.3"}, NoCommonTLS,
			[]string{"ssl.enabled.protocols"}},
		{"no truststore", nil, nil, []string{"security.protocol=SSL", "ssl.truststore.location=" + filepath.Join(t.TempDir(), "none.jks")}, Unreadable,
			[]string{"ssl.truststore.location", "no such file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, tt.broker...)...)
			if err != nil {
				t.Fatal(err)
			}
			defer fake.Close()
			if tt.control != nil {
				tt.control(fake)
			}
			var log bytes.Buffer
			c := clientOf(t, Config{
				Bootstrap: fake.ListenAddrs(), Credentials: settings(tt.settings...),
				Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			began := time.Now()
			err = c.Probe(within(t, 2*time.Minute))
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %v to say so", took)
			}
			if CauseOf(err) != tt.cause || TroubleOf(err) != Denied || ClassOf(err) != sink.Forbidden || !Reset(err) {
				t.Errorf("%v: cause %s, trouble %s, class %s, reset %v", err, CauseOf(err), TroubleOf(err), ClassOf(err), Reset(err))
			}
			for _, s := range tt.says {
				if err == nil || !strings.Contains(err.Error(), s) {
					t.Errorf("%v\ndoes not say %q", err, s)
				}
			}
			if all := fmt.Sprintf("%v %+v %#v %s", err, err, err, &log); strings.Contains(all, marker) || strings.Contains(all, "\x1b") {
				t.Errorf("a secret or an escape is shown:\n%s", all)
			}
		})
	}
}

// A twin of the above that must stay quiet: what Java's clients accept is accepted.
func TestCertificatesThatJavaAcceptsAreAccepted(t *testing.T) {
	ca := authority.New("brokers")
	trust := "ssl.truststore.certificates=" + ca.PEM
	for _, tt := range []struct {
		name     string
		edit     func(*x509.Certificate)
		settings []string
	}{
		{"a name in the subject alone", func(c *x509.Certificate) { c.IPAddresses, c.DNSNames, c.Subject.CommonName = nil, nil, "localhost" }, nil},
		{"no check of names", func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"k1.example"} }, []string{"ssl.endpoint.identification.algorithm="}},
		{"no check of names, librdkafka", func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"k1.example"} }, []string{"ssl.endpoint.identification.algorithm=none"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cert := ca.Issue(tt.edit).TLS
			fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
			if err != nil {
				t.Fatal(err)
			}
			defer fake.Close()
			addr := strings.Replace(fake.ListenAddrs()[0], "127.0.0.1", "localhost", 1)
			c := clientOf(t, Config{Bootstrap: []string{addr}, Credentials: settings(append(tt.settings, "security.protocol=SSL", trust)...)})
			if err := c.Probe(within(t, 2*time.Minute)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRefusedLoginIsNotTriedInAHotLoop(t *testing.T) {
	fake, err := kfake.NewCluster(append(users(), kfake.NumBrokers(1))...)
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	var tries atomic.Int32
	fake.ControlKey(36, func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		tries.Add(1)
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		if !bytes.Contains(req.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes, []byte("new")) {
			resp.ErrorCode = 58
			return resp, nil, true
		}
		return nil, nil, false
	})
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, "old-"+marker)
	s := settings("security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", "sasl.username=gw")
	s.Own = append(s.Own, credentials.Setting{Key: "sasl.password", Value: credentials.File(file)})
	c := clientOf(t, Config{Bootstrap: fake.ListenAddrs(), Credentials: s})
	ctx := within(t, 2*time.Minute)
	for range 200 {
		if err := c.Probe(ctx); CauseOf(err) != WrongLogin || strings.Contains(err.Error(), marker) {
			t.Fatal(err)
		}
	}
	if n := tries.Load(); n > 3 {
		t.Errorf("%d logins in 200 probes", n)
	}
	before := tries.Load()
	write(t, file, "new-"+marker) // a changed password is tried at once, although kfake knows it no better
	if err := c.Probe(ctx); tries.Load() != before+1 {
		t.Errorf("a new password was not tried: %v", err)
	}
}

func TestRefusalsAreTriedAgainLaterAndLater(t *testing.T) {
	var g gate
	now := time.Unix(1_000_000, 0)
	wrong := denied("a:1", WrongLogin, nil, "no")
	var waits []time.Duration
	for range 7 {
		g.note("a:1", [32]byte{1}, wrong, now)
		from := now
		for g.refusal("a:1", [32]byte{1}, now) != nil {
			now = now.Add(time.Second)
		}
		waits = append(waits, now.Sub(from))
	}
	if s := fmt.Sprint(waits); s != "[1s 2s 4s 8s 16s 16s 16s]" {
		t.Error(s)
	}
	g.note("a:1", [32]byte{1}, wrong, now)
	err := g.refusal("a:1", [32]byte{1}, now)
	if CauseOf(err) != WrongLogin || !strings.Contains(err.Error(), "again in 16s") {
		t.Error(err)
	}
	if g.refusal("b:1", [32]byte{1}, now) != nil || g.refusal("a:1", [32]byte{2}, now) != nil {
		t.Error("another broker or another login is held back")
	}
	g.note("a:1", [32]byte{1}, nil, now)
	if g.refusal("a:1", [32]byte{1}, now) != nil {
		t.Error("held back after it got in")
	}
	g.note("a:1", [32]byte{1}, errors.New("reset"), now)
	if g.refusal("a:1", [32]byte{1}, now) != nil {
		t.Error("a broken connection counts as a refusal")
	}
}

func write(t testing.TB, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCertificatesAreReadAnewOnEachDial(t *testing.T) {
	first, second := authority.New("first"), authority.New("second")
	var current atomic.Pointer[tls.Certificate]
	serve := func(a *authority.Authority) {
		cert := a.Issue(nil).TLS
		current.Store(&cert)
	}
	serve(first)
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil },
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	file := filepath.Join(t.TempDir(), "ca.PEM")
	write(t, file, first.PEM)
	c := clientOf(t, Config{Bootstrap: fake.ListenAddrs(), Credentials: settings("security.protocol=SSL", "ssl.ca.location="+file)})
	ctx := within(t, 2*time.Minute)
	if err := c.Probe(ctx); err != nil {
		t.Fatal(err)
	}
	serve(second)
	if err := c.Probe(ctx); CauseOf(err) != UnknownAuthority {
		t.Fatal(err)
	}
	write(t, file, first.PEM+second.PEM)
	if err := c.Probe(ctx); err != nil {
		t.Fatal(err)
	}
}

// A session of 1.2 s is renewed several times on one connection, while batches are in flight all the time: each is
// answered once, in order.
func TestSessionIsRenewedOnThePipelinedConnection(t *testing.T) {
	fake, err := kfake.NewCluster(append(users(), kfake.NumBrokers(1), kfake.SeedTopics(3, "orders"),
		kfake.BrokerConfigs(map[string]string{"connections.max.reauth.ms": "1200"}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	var hellos, dials atomic.Int32
	fake.ControlKey(17, func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		hellos.Add(1)
		return nil, nil, false
	})
	c := clientOf(t, Config{
		Bootstrap: fake.ListenAddrs(), Credentials: settings("security.protocol=SASL_PLAINTEXT", "sasl.mechanism=SCRAM-SHA-512", scramJAAS),
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	})
	ctx := within(t, 2*time.Minute)
	cl, err := c.Look(ctx, []string{"orders"})
	if err != nil {
		t.Fatal(err)
	}
	part, topic, _ := cl.Partition(orders)
	pid, epoch, err := c.NewProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	replies := make(ear, 5)
	p, err := c.Dial(ctx, part.Leader, 5, replies.onReply)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	opened := dials.Load()
	start := hellos.Load()
	sent, answered := 0, 0
	for hellos.Load() < start+6 { // three for the pipe and three for the admin connection, or thereabouts
		for sent-answered < 5 {
			if !p.Send(uint64(sent), []sink.Parcel{parcelOf(t, orders, topic.ID, pid, epoch, int32(sent), 1)}) {
				t.Fatalf("refuses to send after %d: %v", sent, p.Err())
			}
			sent++
		}
		h := replies.next(t, ctx)
		if h.err != nil || h.tag != uint64(answered) || h.answers[0].Class != sink.OK || h.answers[0].Base != 0 && h.answers[0].Base < 0 {
			t.Fatalf("%d: %+v", answered, h)
		}
		answered++
		if answered%50 == 0 {
			if _, err := c.Look(ctx, []string{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for ; answered < sent; answered++ {
		if h := replies.next(t, ctx); h.err != nil || h.tag != uint64(answered) || h.answers[0].Class != sink.OK {
			t.Fatalf("%d: %+v", answered, h)
		}
	}
	if dials.Load() != opened {
		t.Errorf("%d connections more", dials.Load()-opened)
	}
	t.Logf("%d batches in flight over %d renewals", sent, hellos.Load()-start)
}

// When the renewal is refused the connection ends, nothing that was answered is in doubt, and what waited is unsent.
func TestRefusedRenewalEndsTheConnectionWithItsReason(t *testing.T) {
	fake, err := kfake.NewCluster(append(users(), kfake.NumBrokers(1), kfake.SeedTopics(3, "orders"),
		kfake.BrokerConfigs(map[string]string{"connections.max.reauth.ms": "1200"}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	c := clientOf(t, Config{Bootstrap: fake.ListenAddrs(), Credentials: settings("security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", plainJAAS)})
	ctx := within(t, 2*time.Minute)
	cl, err := c.Look(ctx, []string{"orders"})
	if err != nil {
		t.Fatal(err)
	}
	part, _, _ := cl.Partition(orders)
	p, err := c.Dial(ctx, part.Leader, 1, make(ear, 1).onReply)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	fake.ControlKey(36, func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = 58
		return resp, nil, true
	})
	select {
	case <-p.Done():
	case <-ctx.Done():
		t.Fatal("the pipe goes on")
	}
	if err := p.Err(); CauseOf(err) != WrongLogin || ClassOf(err) != sink.Forbidden {
		t.Error(err)
	}
}
