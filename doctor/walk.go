package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

// Config says where to walk and as whom. Target is required.
type Config struct {
	Target      string // host:port
	Credentials kafka.Credentials
	ClientID    string   // as the producer's client.id; empty = "streamdown-diagnose"
	Topics      []string // to look at
	Produce     bool     // write one record to each of Topics
	// Patience is how long a step may take. 0 = 5 s.
	Patience time.Duration
	// Found is told of each step as it is done; nil is fine.
	Found func(Step)
	// Resolve and Dial replace those of package net.
	Resolve func(ctx context.Context, host string) ([]string, error)
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	Now     func() time.Time // nil = time.Now
}

// walk is one walk under way.
type walk struct {
	cfg    Config
	client *kafka.Client
	report Report
}

// Walk walks. The error is about cfg; whatever the other side does is in the report.
func Walk(ctx context.Context, cfg Config) (*Report, error) {
	cfg.Patience = cmp.Or(cfg.Patience, 5*time.Second)
	cfg.ClientID = cmp.Or(cfg.ClientID, "streamdown-diagnose")
	if cfg.Resolve == nil {
		cfg.Resolve = net.DefaultResolver.LookupHost
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Produce && len(cfg.Topics) == 0 {
		return nil, errors.New("a record needs a topic")
	}
	c, err := kafka.New(kafka.Config{
		Bootstrap: []string{cfg.Target}, ClientID: cfg.ClientID, Credentials: cfg.Credentials, Dial: cfg.Dial,
		DialTimeout: cfg.Patience, RequestTimeout: cfg.Patience, ProduceTimeout: cfg.Patience / 2,
	})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	w := &walk{cfg: cfg, client: c, report: Report{SchemaVersion: 1, Target: cfg.Target, At: cfg.Now().UTC()}}
	if v := w.arrive(ctx, cfg.Target); v != nil {
		w.inside(ctx, v)
		_ = v.Close() // nothing is owed on it
	}
	w.report.Verdict = w.report.worst()
	return &w.report, nil
}

// step runs one step with a deadline of its own and notes what it saw. The function fills the step in; an error says
// what is wrong with it.
func (w *walk) step(ctx context.Context, name, subject string, do func(ctx context.Context, s *Step) error) bool {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Patience)
	defer cancel()
	s := Step{Name: name, Subject: subject, Verdict: OK}
	began := time.Now()
	err := do(ctx, &s)
	s.Elapsed = Seconds(time.Since(began))
	if err != nil {
		s.blame(err)
	}
	w.note(s)
	return err == nil
}

func (w *walk) note(s Step) {
	w.report.Steps = append(w.report.Steps, s)
	if w.cfg.Found != nil {
		w.cfg.Found(s)
	}
}

// blame says what an error means for the step.
func (s *Step) blame(err error) {
	if s.Verdict == OK {
		s.Verdict = Wrong
	}
	var advised *advisedError
	text, try := err.Error(), ""
	if errors.As(err, &advised) {
		try = advised.try
	}
	switch kafka.TroubleOf(err) {
	case kafka.DialFailed, kafka.DialRefused, kafka.DialTimedOut, kafka.PeerSilent:
		s.Verdict = Unreachable
	case kafka.PeerReset, kafka.PeerIdle, kafka.PeerGarbled, kafka.Denied:
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errNoName) {
		s.Verdict = Unreachable
	}
	s.Problem = &text
	if try != "" {
		s.Try = &try
	}
}

// advisedError is an error with what to do about it.
type advisedError struct {
	err error
	try string
}

func (e *advisedError) Error() string { return e.err.Error() }
func (e *advisedError) Unwrap() error { return e.err }

func advise(try string, err error) error { return &advisedError{err, try} }

var errNoName = errors.New("the name has no address")

// arrive takes the steps from a name to a connection that is logged in, nil if it does not get there.
func (w *walk) arrive(ctx context.Context, addr string) *kafka.Visit {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil
	}
	var v *kafka.Visit
	if !w.step(ctx, StepCredentials, host, func(ctx context.Context, s *Step) (err error) {
		v, err = w.client.Visit(ctx, addr)
		if err == nil {
			s.Saw = access(v.Credentials())
		}
		return err
	}) {
		return nil
	}
	var ips []string
	if !w.step(ctx, StepDNS, host, func(ctx context.Context, s *Step) (err error) {
		ips, err = w.resolve(ctx, host, s)
		return err
	}) {
		return nil
	}
	good := w.step(ctx, StepTCP, addr, func(ctx context.Context, s *Step) error { return w.dial(ctx, v, ips, s) }) &&
		w.step(ctx, StepTLS, addr, func(ctx context.Context, s *Step) error { return w.secure(ctx, v, host, s) }) &&
		w.step(ctx, StepVersions, addr, func(ctx context.Context, s *Step) error { return w.greet(ctx, v, s) }) &&
		w.step(ctx, StepLogin, addr, func(ctx context.Context, s *Step) error { return w.login(ctx, v, s) })
	if !good {
		_ = v.Close() // it came to nothing
		return nil
	}
	return v
}

func access(l *credentials.Login) string {
	saw := "security.protocol " + l.Protocol()
	if m := l.MechanismName(); m != "" {
		saw += ", " + m
	}
	if who := l.Who(); who != "" {
		saw += " as " + who
	}
	return saw
}

func (w *walk) resolve(ctx context.Context, host string, s *Step) ([]string, error) {
	if net.ParseIP(host) != nil {
		s.Saw = "an address, nothing to resolve"
		return []string{host}, nil
	}
	ips, err := w.cfg.Resolve(ctx, host)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return nil, advise("look at the spelling, and at the resolver of this machine: getent hosts "+host, fmt.Errorf("%w: %s", errNoName, host))
	case err != nil:
		return nil, advise("look at the name servers of this machine (/etc/resolv.conf): getent hosts "+host, fmt.Errorf("%w: %w", errNoName, err))
	case len(ips) == 0:
		return nil, fmt.Errorf("%w: %s", errNoName, host)
	}
	s.Saw = host + " is " + strings.Join(ips, ", ")
	return ips, nil
}

// dial opens a connection at the first address that takes one. A name with an address that does not is a warning: a
// client that comes to it first waits.
func (w *walk) dial(ctx context.Context, v *kafka.Visit, ips []string, s *Step) error {
	var errs []error
	s.Saw = "tried " + strings.Join(ips, ", ")
	for i, ip := range ips {
		// One address that swallows everything must not use up the others' time.
		share := w.cfg.Patience / time.Duration(len(ips)-i)
		if by, ok := ctx.Deadline(); ok {
			share = time.Until(by) / time.Duration(len(ips)-i)
		}
		one, cancel := context.WithTimeout(ctx, share)
		err := v.Dial(one, ip)
		cancel()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.Saw = "connected to " + ip
		if len(errs) > 0 {
			s.Verdict = Warning
			text := errors.Join(errs...).Error()
			try := "clients that try that address first wait or fail: take it out of the name service, or have the broker listen there"
			s.Problem, s.Try = &text, &try
		}
		return nil
	}
	return errors.Join(errs...)
}

func (w *walk) secure(ctx context.Context, v *kafka.Visit, host string, s *Step) error {
	state, err := v.Secure(ctx)
	if err != nil {
		return err
	}
	if state == nil {
		s.Verdict, s.Saw = Skipped, "security.protocol "+v.Credentials().Protocol()+" does not encrypt"
		return nil
	}
	leaf := state.PeerCertificates[0]
	names := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = []string{leaf.Subject.CommonName}
	}
	left := leaf.NotAfter.Sub(w.cfg.Now())
	s.Saw = fmt.Sprintf("%s, %s; certificate for %s, issued by %q, until %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite),
		clean(strings.Join(names, ", ")), clean(leaf.Issuer.String()), leaf.NotAfter.UTC().Format(time.DateOnly))
	if left < 14*24*time.Hour {
		s.Verdict = Warning
		text := fmt.Sprintf("the certificate of %s ends in %d days", host, int(left.Hours()/24))
		try := "have it renewed before"
		s.Problem, s.Try = &text, &try
	}
	return nil
}

// clean makes the other side's words fit for a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s[:min(len(s), 500)])
}
