package config

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// Unresolved warns of advertised names that the lookup does not find from here: clients may see another DNS, so it is no
// error, and only who checks a config asks. lookup is as net.Resolver.LookupHost; ctx bounds it. A lookup that comes to no
// answer says nothing.
func (c *Config) Unresolved(ctx context.Context, file string, lookup func(ctx context.Context, host string) ([]string, error)) (findings Findings) {
	asked := map[string]bool{}
	for i, class := range c.Listen.Kafka.Classes {
		key := "listen.kafka.advertise"
		if i > 0 {
			key = "listen.kafka.classes." + string(class.Priority) + ".advertise"
		}
		host, _, err := net.SplitHostPort(class.Advertise)
		if _, numeric := netip.ParseAddr(host); err != nil || numeric == nil || asked[host] {
			continue
		}
		asked[host] = true
		var unknown *net.DNSError
		if _, err := lookup(ctx, host); !errors.As(err, &unknown) || !unknown.IsNotFound {
			continue
		}
		said := host
		if c.secrets["listen.kafka.advertise"] || c.secrets["listen.kafka.address"] || c.secrets[key] {
			said = "the host (not shown)"
		}
		findings = append(findings, Finding{File: file, Key: key, Severity: Warning,
			Text: said + " is not known here: clients connect to this name after their first answer, so it has to be one that they can look up"})
	}
	return findings
}
