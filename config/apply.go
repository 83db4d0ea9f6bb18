package config

import (
	"cmp"
	"maps"
	"slices"
)

// Apply returns what a process that runs with the config running has in effect after it took over of next what can change
// while it runs. What cannot, and what would leave the Kafka port open to strangers together with an address that needs
// a restart to change, stays as it is. Neither argument is changed.
func Apply(running, next *Config) *Config {
	c := *running
	c.files = next.files
	c.Auth = next.Auth
	c.Data.Scrub, c.Log = next.Data.Scrub, next.Log
	c.applyKafkaListener(&next.Listen.Kafka)
	if c.Listen.HTTP.TLS != nil && next.Listen.HTTP.TLS != nil {
		c.Listen.HTTP.TLS = next.Listen.HTTP.TLS
	}
	c.applySystems(next)
	c.applyStreams(next)

	c.secrets = maps.Clone(next.secrets)
	maps.Copy(c.secrets, running.secrets) // hidden once more than needed is better than shown
	c.prints = make(map[string]fingerprint)
	for path, p := range next.prints {
		if p.live {
			c.prints[path] = p
		}
	}
	for path, p := range running.prints {
		if !p.live {
			c.prints[path] = p
		}
	}
	return &c
}

func (c *Config) applyKafkaListener(next *KafkaListener) {
	k := c.Listen.Kafka
	k.MaxConnections, k.MaxConnectionsPerAddress = next.MaxConnections, next.MaxConnectionsPerAddress
	open := k // with these, but for who is asked for what
	if k.TLS != nil && next.TLS != nil {
		k.TLS = next.TLS
	}
	if (len(k.SASL.Mechanisms) > 0) == (len(next.SASL.Mechanisms) > 0) {
		k.SASL = next.SASL
	}
	// What is right for the address in the file may be wrong for the one that is bound.
	outside := !loopback(k.Address) || slices.ContainsFunc(k.Classes, func(c Class) bool { return !loopback(c.Address) })
	if outside && (!k.everyone() || k.readable() && !k.SASL.PasswordsInTheClear) || k.Identified() != open.Identified() {
		k = open
	}
	c.Listen.Kafka = k
	c.Auth.Mechanisms = k.SASL.Mechanisms
}

// readable reports whether who listens on the network learns passwords.
func (k *KafkaListener) readable() bool {
	return k.TLS == nil && slices.ContainsFunc(k.SASL.Mechanisms, showsPassword)
}

// applySystems takes over how to log in, and keeps where to.
func (c *Config) applySystems(next *Config) {
	running := c.Systems
	c.Systems = slices.Clone(next.Systems)
	for i := range running {
		was := &running[i]
		at := slices.IndexFunc(c.Systems, func(s System) bool { return s.Name == was.Name })
		if at < 0 {
			if slices.ContainsFunc(c.Streams, func(s Stream) bool { return s.To == was.Name }) {
				c.Systems = append(c.Systems, *was)
			}
			continue
		}
		k := &c.Systems[at].Kafka
		k.Bootstrap, k.ClientID, k.RequestTimeout = was.Kafka.Bootstrap, was.Kafka.ClientID, was.Kafka.RequestTimeout
		where := func(key string) bool { _, ok := k.connection(key); return ok }
		k.fromFile = slices.DeleteFunc(slices.Clone(k.fromFile), where)
		for _, key := range was.Kafka.fromFile {
			if where(key) {
				k.fromFile = append(k.fromFile, key)
			}
		}
	}
}

// applyStreams takes over the policies, and keeps where each topic goes and how long the log keeps what it gave: the
// forwarder has these from the start.
func (c *Config) applyStreams(next *Config) {
	running := c.Streams
	most := slices.MaxFunc(running, func(a, b Stream) int { return cmp.Compare(a.Retain, b.Retain) }).Retain
	c.Streams = slices.Clone(next.Streams)
	for i := range c.Streams {
		s := &c.Streams[i]
		s.To = running[0].To // all go to one system
		if at := slices.IndexFunc(running, func(r Stream) bool { return r.Name == s.Name }); at >= 0 {
			s.Retain = running[at].Retain
		} else {
			s.Retain = min(s.Retain, most)
		}
	}
}
