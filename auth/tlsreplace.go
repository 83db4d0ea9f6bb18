package auth

// Replace puts other files, and what t says of them, in the place of those in use, for connections from then on. The
// protocols stay as they are. After an error nothing has changed.
func (c *TLSFiles) Replace(t TLS) error {
	t.Protocols = c.tls.Protocols // never written after OpenTLS
	if err := t.Validate(); err != nil {
		return err
	}
	fresh := &TLSFiles{tls: t, port: c.port, log: c.log, now: c.now}
	stamps := t.stamps()
	current, err := fresh.load()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tls.Cert, c.tls.Key, c.tls.ClientCA, c.tls.ClientAuth = t.Cert, t.Key, t.ClientCA, t.ClientAuth
	c.tls.Revoked, c.tls.MinVersion = t.Revoked, t.MinVersion
	c.stamps, c.current, c.looked = stamps, current, c.now()
	return nil
}
