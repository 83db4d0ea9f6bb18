package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// conversation is a SCRAM login for Sarama, which brings none of its own.
type conversation struct {
	mechanism string
	session   sasl.Session
	first     []byte
	done      bool
}

// Begin is part of sarama.SCRAMClient.
func (s *conversation) Begin(user, password, _ string) error {
	a := scram.Auth{User: user, Pass: password}
	m := a.AsSha256Mechanism()
	if s.mechanism == "SCRAM-SHA-512" {
		m = a.AsSha512Mechanism()
	}
	var err error
	s.session, s.first, err = m.Authenticate(context.Background(), "")
	return err
}

// Step is part of sarama.SCRAMClient.
func (s *conversation) Step(challenge string) (string, error) {
	if challenge == "" {
		return string(s.first), nil
	}
	done, next, err := s.session.Challenge([]byte(challenge))
	s.done = done
	return string(next), err
}

// Done is part of sarama.SCRAMClient.
func (s *conversation) Done() bool { return s.done }
