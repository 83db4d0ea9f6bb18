package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

// probeTimeout bounds the look at a cluster. Nothing depends on it but what is proposed.
const probeTimeout = 6 * time.Second

// probe looks at the cluster at bootstrap, without a login, and returns what it found for the config and for people.
// Nothing is written to the cluster.
func probe(ctx context.Context, bootstrap string) (p config.Proposal, said []string) {
	p.Bootstrap = bootstrap
	servers := strings.Split(bootstrap, ",")
	for i := range servers {
		servers[i] = strings.TrimSpace(servers[i])
	}
	cl, err := look(ctx, servers, "PLAINTEXT")
	protocol := "PLAINTEXT"
	if cause(err) == kafka.ListenerTLS {
		protocol = "SSL"
		cl, err = look(ctx, servers, protocol)
	}
	if err == nil {
		return found(p, protocol, cl)
	}
	encrypted := map[string]string{"SSL": "SASL_SSL", "PLAINTEXT": "SASL_PLAINTEXT"}[protocol]
	switch {
	case cause(err) == kafka.UnknownAuthority:
		p.Protocol = "SSL"
		said = append(said, "its listener speaks TLS, and its certificate is signed by an authority that this machine does not trust: set ssl.truststore.location")
	case cause(err) == kafka.CertificateWanted:
		p.Protocol = "SSL"
		said = append(said, "its listener speaks TLS and wants a client certificate: set ssl.keystore.location")
	case cause(err) != 0:
		p.Protocol = protocol
		said = append(said, fmt.Sprintf("it does not let us in: %v", err))
	case kafka.TroubleOf(err) == kafka.PeerReset || kafka.TroubleOf(err) == kafka.PeerGarbled:
		said = append(said, fmt.Sprintf("it closes connections that do not log in: set security.protocol: %s with sasl.mechanism, sasl.username and sasl.password (docs/kafka-security.md)", encrypted))
	default:
		said = append(said, fmt.Sprintf("it could not be asked, so nothing of it is in the file: %v", err))
	}
	return p, said
}

func found(p config.Proposal, protocol string, cl *catalog.Cluster) (config.Proposal, []string) {
	if protocol != "PLAINTEXT" {
		p.Protocol = protocol
	}
	for name, t := range cl.Topics {
		if !t.Internal {
			p.Topics = append(p.Topics, name)
		}
	}
	slices.Sort(p.Topics)
	return p, []string{fmt.Sprintf("it has %s and takes connections without a login (security.protocol %s)", count(len(p.Topics), "topic"), protocol)}
}

// look reads the cluster's metadata.
func look(ctx context.Context, servers []string, protocol string) (*catalog.Cluster, error) {
	c, err := kafka.New(kafka.Config{
		Bootstrap: servers, ClientID: "streamdown-init", RequestTimeout: probeTimeout / 2,
		Credentials: credentials.Settings{Own: []credentials.Setting{{Key: "security.protocol", Value: credentials.Text(protocol)}}},
	})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return c.Look(ctx, nil)
}

// cause is why a broker does not let us in, 0 if it is something else.
func cause(err error) kafka.Cause {
	var e *kafka.SecurityError
	if errors.As(err, &e) {
		return e.Cause
	}
	return 0
}
