package compat

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/test/authority"
	"github.com/streamdown/streamdown/test/daemon"
	"github.com/streamdown/streamdown/test/realkafka"
)

// Who logs in.
const (
	user     = "alice"
	password = "alices-secret-of-the-table"
)

// Doors are a real Kafka and four gateways before it, one for each security protocol.
type Doors struct {
	broker *realkafka.Broker
	admin  *kadm.Client
	dir    string
	ca     string // file
	token  string
	doors  map[string]*daemon.Daemon // by security protocol
}

// Open starts all of them below dir. Whoever opens closes.
func Open(ctx context.Context, dir string) (d *Doors, err error) {
	d = &Doors{dir: dir, doors: map[string]*daemon.Daemon{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if d.broker, err = realkafka.Start(ctx, realkafka.Options{Dir: filepath.Join(dir, "kafka")}); err != nil {
		return d, err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(d.broker.Addr()), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return d, err
	}
	d.admin = kadm.NewClient(cl)
	binary, err := daemon.Build(ctx, dir)
	if err != nil {
		return d, err
	}
	ca := authority.New("compat")
	server := ca.Issue(nil)
	for name, text := range map[string]string{"ca.pem": ca.PEM, "tls.crt": server.Cert, "tls.key": server.Key} {
		if err := os.WriteFile(d.path(name), []byte(text), 0o600); err != nil {
			return d, err
		}
	}
	d.ca = d.path("ca.pem")
	if err := d.issue(); err != nil {
		return d, err
	}
	for _, protocol := range []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"} {
		if err := d.start(ctx, binary, protocol); err != nil {
			return d, err
		}
	}
	return d, nil
}

// issue makes a token and the key that it is checked with.
func (d *Doors) issue() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("keys.json"), set, 0o600); err != nil {
		return err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		return err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": "https://id.example", "aud": "streamdown", "sub": "tokens", "iat": time.Now().Unix(), "exp": time.Now().Add(4 * time.Hour).Unix(),
	})
	if err != nil {
		return err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return err
	}
	d.token, err = signed.CompactSerialize()
	return err
}

func (d *Doors) start(ctx context.Context, binary, protocol string) error {
	o := daemon.Options{Binary: binary, Dir: d.path(protocol), Upstream: d.broker.Addr(), Env: []string{"COMPAT_PASSWORD=" + password}}
	var listen []string
	if strings.HasSuffix(protocol, "SSL") {
		listen = append(listen, fmt.Sprintf("tls: { cert: %q, key: %q }", d.path("tls.crt"), d.path("tls.key")))
	}
	if strings.HasPrefix(protocol, "SASL") {
		listen = append(listen, "sasl: { mechanisms: [PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER] }")
		o.More = fmt.Sprintf(`auth:
  oauth: { issuer: "https://id.example", audience: streamdown, keys: %q }
  users:
    - { name: %s, password: "${COMPAT_PASSWORD}", topics: ["*"] }
    - { name: tokens, topics: ["*"] }
`, d.path("keys.json"), user)
	}
	o.Listen = strings.Join(listen, ", ")
	gw, err := daemon.Start(ctx, o)
	if err == nil {
		d.doors[protocol] = gw
	}
	return err
}

func (d *Doors) addr(protocol string) string { return d.doors[protocol].Addr() }

func (d *Doors) path(name string) string { return filepath.Join(d.dir, name) }

// Kafka is the version of the Kafka behind.
func (d *Doors) Kafka() string { return d.broker.Version }

// Close ends all of them, and says which gateway did not end as it should.
func (d *Doors) Close() error {
	var errs []error
	for protocol, gw := range d.doors {
		if err := gw.Stop(context.Background()); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", protocol, err))
		}
	}
	if d.admin != nil {
		d.admin.Close()
	}
	if d.broker != nil {
		errs = append(errs, d.broker.Kill())
	}
	return errors.Join(errs...)
}
