package hostile_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/streamdown/streamdown/test/authority"
	"github.com/streamdown/streamdown/test/daemon"
	"github.com/streamdown/streamdown/test/hostile"
)

// house is a real streamdown for each kind of port, before an embedded Kafka.
type house struct {
	up      string
	doors   map[hostile.Door]*daemon.Daemon
	clients *authority.Authority
	trust   *tls.Config
}

const healthyTopic = "healthy"

func open(t *testing.T) *house {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, healthyTopic, hostile.Topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	dir := t.TempDir()
	binary, err := daemon.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	servers := authority.New("servers")
	h := &house{up: c.ListenAddrs()[0], doors: map[hostile.Door]*daemon.Daemon{}, clients: authority.New("clients"), trust: &tls.Config{RootCAs: servers.Pool(), ServerName: "localhost"}}
	put := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	own := servers.Issue(nil)
	pair := fmt.Sprintf("cert: %q, key: %q", put("tls.crt", own.Cert), put("tls.key", own.Key))
	for door, o := range map[hostile.Door]daemon.Options{
		hostile.Plain: {},
		hostile.Stranger: {
			Listen: "sasl: { mechanisms: [PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER] }", Env: []string{"HOSTILE_PASSWORD=alices-secret"},
			More: fmt.Sprintf("auth:\n  oauth: { issuer: \"https://id.example\", audience: streamdown, keys: %q }\n  users: [ { name: alice, password: \"${HOSTILE_PASSWORD}\", topics: [\"*\"] } ]\n",
				put("keys.json", `{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`)),
		},
		hostile.Encrypted: {Listen: "tls: { " + pair + " }"},
		hostile.Mutual:    {Listen: fmt.Sprintf("tls: { %s, client_ca: %q }", pair, put("clients.pem", h.clients.PEM)), More: "auth:\n  users: [ { name: \"CN=broker\", topics: [\"*\"] } ]\n"},
	} {
		o.Binary, o.Dir, o.Upstream, o.Acks = binary, filepath.Join(dir, strings.ReplaceAll(door.String(), " ", "-")), h.up, "wal"
		if h.doors[door], err = daemon.Start(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		gw := h.doors[door]
		t.Cleanup(func() { _ = gw.Kill() })
	}
	h.doors[hostile.Inside] = h.doors[hostile.Encrypted]
	return h
}

// healthy is a client that does what it should.
func (h *house) healthy(t *testing.T, door hostile.Door) *kgo.Client {
	t.Helper()
	opts := []kgo.Opt{kgo.SeedBrokers(strings.Replace(h.doors[door].Addr(), "127.0.0.1", "localhost", 1)), kgo.DefaultProduceTopic(healthyTopic)}
	switch door {
	case hostile.Stranger:
		opts = append(opts, kgo.SASL(scram.Auth{User: "alice", Pass: "alices-secret"}.AsSha256Mechanism()))
	case hostile.Encrypted:
		opts = append(opts, kgo.DialTLSConfig(h.trust))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// dial connects as the nth peer. Each of those who are to fail a login comes from an address of its own, for an address
// that failed before is made to wait.
func (h *house) dial(ctx context.Context, i hostile.Item, n int) (net.Conn, error) {
	var d net.Dialer
	if i.Door == hostile.Stranger {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, byte(1+n>>16), byte(n>>8), byte(n))}
	}
	nc, err := d.DialContext(ctx, "tcp", h.doors[i.Door].Addr())
	if err != nil {
		return nil, err
	}
	if i.Door == hostile.Inside {
		inside := tls.Client(nc, h.trust)
		return inside, inside.HandshakeContext(ctx)
	}
	return nc, nil
}

// outcome is what became of an item.
type outcome int

const (
	answered outcome = iota
	closed
	alert // of TLS
	waiting
	silent // neither answered nor closed: which must not be
)

func (o outcome) String() string {
	return [...]string{"answered", "closed", "TLS alert", "waited for", "silent"}[o]
}

// throw sends one item and says what became of it, with the first bytes of the answer.
func (h *house) throw(ctx context.Context, i hostile.Item, n int) (outcome, []byte, error) {
	nc, err := h.dial(ctx, i, n)
	if err != nil {
		return silent, nil, err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	_, _ = nc.Write(i.Data) // a connection that is closed while we still write is an answer
	if i.Waits {
		return waiting, nil, nil
	}
	var answer []byte
	buf := make([]byte, 4096)
	for {
		read, err := nc.Read(buf)
		answer = append(answer, buf[:read]...)
		timeout, is := err.(net.Error)
		switch {
		case is && timeout.Timeout():
			return silent, answer, nil
		case len(answer) > 0 && answer[0] == 0x15:
			return alert, answer, nil
		case whole(answer), len(answer) > 0 && answer[0] == 0x16: // a server's hello begins with the latter
			return answered, answer, nil
		case err == io.EOF, err != nil:
			if len(answer) > 0 {
				return answered, answer, nil
			}
			return closed, nil, nil
		}
	}
}

// patience is how long an answer may take on a busy machine.
const patience = 30 * time.Second

// whole says whether an answer has come to its end, as far as Kafka's frames go.
func whole(b []byte) bool {
	return len(b) >= 4 && len(b) >= 4+(int(b[0])<<24|int(b[1])<<16|int(b[2])<<8|int(b[3]))
}

// stored is the number of records that are in a topic behind.
func (h *house) stored(t *testing.T, topic string) int64 {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(h.up))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := ends.Lookup(topic, 0)
	return o.Offset
}
