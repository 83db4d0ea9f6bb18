package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamdown/streamdown/auth"
)

// Live is what of a Config can change while a Server serves. Who may come in changes in Config.Auth.
type Live struct {
	MaxConnections           int // as in Config; a lower limit closes no connection
	MaxConnectionsPerAddress int
	// SASL and SessionLifetime count for logins from then on. SASL is empty exactly if that of the Config is.
	SASL            []auth.Mechanism
	SessionLifetime time.Duration
	// TLS counts for connections from then on. It is nil exactly if that of the Config is.
	TLS *auth.TLS
}

// Update applies l from its return on. After an error nothing has changed. It waits until Serve has begun, or ctx ended.
func (s *Server) Update(ctx context.Context, l Live) error {
	if l.MaxConnections < 1 || l.MaxConnectionsPerAddress < 1 {
		return errors.New("the limits of connections are below 1")
	}
	if (len(l.SASL) > 0) != (len(s.cfg.SASL) > 0) || (l.TLS != nil) != (s.cfg.TLS != nil) {
		return errors.New("logins and TLS cannot come or go while the port is served: restart the process")
	}
	select {
	case <-s.begun:
	case <-ctx.Done():
		return fmt.Errorf("wait until the port is served: %w", context.Cause(ctx))
	}
	if l.TLS != nil {
		if err := s.credentials.Replace(*l.TLS); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.MaxConnections, s.cfg.MaxConnectionsPerAddress = l.MaxConnections, l.MaxConnectionsPerAddress
	s.live.Store(&l)
	return nil
}

// mechanisms are those that clients may log in with now.
func (s *Server) mechanisms() []auth.Mechanism {
	if l := s.live.Load(); l != nil {
		return l.SASL
	}
	return s.cfg.SASL
}

// sessionLifetime is how long a login lasts that is made now.
func (s *Server) sessionLifetime() time.Duration {
	if l := s.live.Load(); l != nil {
		return l.SessionLifetime
	}
	return s.cfg.SessionLifetime
}
