package node

import (
	"fmt"

	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/gateway"
)

// authority is who may come in, nil if no port asks.
func (n *Node) authority() (*auth.Authority, error) {
	k := &n.cfg.Listen.Kafka
	if !k.Identified() && !n.cfg.Listen.HTTP.Login {
		return nil, nil
	}
	c := users(n.cfg)
	c.Logger = n.log
	a, err := auth.New(c)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	n.reloading.who = a
	return a, nil
}

// gatewayConfig is how the Kafka port is served.
func (n *Node) gatewayConfig(who *auth.Authority) gateway.Config {
	k := &n.cfg.Listen.Kafka
	if !k.Identified() {
		who = nil // HTTP alone asks
	}
	return gateway.Config{
		Brokers: n.virtualBrokers(), Leader: n.leader, Logger: n.log, Auth: who,
		MaxConnections: k.MaxConnections, MaxConnectionsPerAddress: k.MaxConnectionsPerAddress,
		SASL: k.SASL.Mechanisms, SessionLifetime: k.SASL.SessionLifetime, TLS: listenerTLS(k.TLS),
	}
}

func listenerTLS(t *config.TLS) *auth.TLS {
	if t == nil {
		return nil
	}
	g := &auth.TLS{Cert: t.Cert, Key: t.Key, ClientCA: t.ClientCA, Revoked: t.Revoked, MinVersion: t.MinVersion}
	switch {
	case t.ClientCA == "":
	case t.ClientAuth == config.ClientRequired:
		g.ClientAuth = auth.ClientCertRequired
	default:
		g.ClientAuth = auth.ClientCertIfGiven
	}
	return g
}
