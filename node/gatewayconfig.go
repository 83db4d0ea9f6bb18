package node

import (
	"fmt"

	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/gateway"
)

// authority is who may come in at the Kafka port, nil if it does not ask.
func (n *Node) authority() (*auth.Authority, error) {
	k := &n.cfg.Listen.Kafka
	if !k.Identified() {
		return nil, nil
	}
	c := n.cfg.Auth
	c.Mechanisms, c.Logger = k.SASL.Mechanisms, n.log
	a, err := auth.New(c)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return a, nil
}

// gatewayConfig is how the Kafka port is served.
func (n *Node) gatewayConfig(who *auth.Authority) gateway.Config {
	k := &n.cfg.Listen.Kafka
	return gateway.Config{
		Advertise: n.advertise(), Logger: n.log, Auth: who,
		MaxConnections: k.MaxConnections, MaxConnectionsPerAddress: k.MaxConnectionsPerAddress,
		SASL: k.SASL.Mechanisms, SessionLifetime: k.SASL.SessionLifetime, TLS: gatewayTLS(k.TLS),
	}
}

func gatewayTLS(t *config.KafkaTLS) *gateway.TLS {
	if t == nil {
		return nil
	}
	g := &gateway.TLS{Cert: t.Cert, Key: t.Key, ClientCA: t.ClientCA, Revoked: t.Revoked, MinVersion: t.MinVersion}
	switch {
	case t.ClientCA == "":
	case t.ClientAuth == config.ClientRequired:
		g.ClientAuth = gateway.ClientCertRequired
	default:
		g.ClientAuth = gateway.ClientCertIfGiven
	}
	return g
}
