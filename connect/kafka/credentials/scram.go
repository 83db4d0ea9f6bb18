package credentials

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/sasl"
)

// maxIterations is more than Kafka's brokers allow to be stored (16384), and what a stranger who poses as one may have us
// compute: about a second.
const maxIterations = 1 << 20

// ErrProof says that the other end did not prove that it knows our password: it is no broker of that cluster.
var ErrProof = errors.New("the broker could not prove that it knows our password")

// bounded keeps a SCRAM exchange from making us compute for hours, and its errors from quoting what was exchanged.
type bounded struct{ sasl.Mechanism }

func (m bounded) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	s, first, err := m.Mechanism.Authenticate(ctx, host)
	return &boundedSession{Session: s}, first, err
}

type boundedSession struct {
	sasl.Session
	step int
}

func (s *boundedSession) Challenge(message []byte) (bool, []byte, error) {
	s.step++
	if s.step == 1 {
		_, rest, _ := bytes.Cut(message, []byte(",i="))
		digits, _, _ := bytes.Cut(rest, []byte(","))
		if n, err := strconv.Atoi(string(digits)); err != nil || n > maxIterations {
			return false, nil, fmt.Errorf("the broker wants more than %d iterations of SCRAM, or does not say how many", maxIterations)
		}
	}
	done, answer, err := s.Session.Challenge(message)
	switch {
	case err == nil:
		return done, answer, nil
	case s.step == 2:
		return false, nil, ErrProof
	}
	return false, nil, errors.New("the broker's SCRAM message cannot be used")
}
