package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/connect/kafka"
)

// needs are the APIs that a producer of today uses, and from which version on it can.
var needs = []struct {
	key   int16
	least int16 // a broker that ends below is too old
	why   string
}{
	{kmsg.Produce.Int16(), 3, "record batches came with Kafka 0.11"},
	{kmsg.Metadata.Int16(), 4, "Metadata that creates no topics came with Kafka 0.11"},
	{kmsg.InitProducerID.Int16(), 0, "idempotent producers came with Kafka 0.11"},
}

func (w *walk) greet(ctx context.Context, v *kafka.Visit, s *Step) error {
	speaks, err := v.Greet(ctx)
	if err != nil {
		if kafka.TroubleOf(err) == kafka.PeerReset {
			return advise("a broker before Kafka 0.10 hangs up like this, as does something that is no Kafka: look at what listens on that port", err)
		}
		if kafka.TroubleOf(err) == kafka.PeerSilent {
			return advise("the port takes connections and says nothing: a broker that hangs, or another service's port (HTTP waits for more, too)", err)
		}
		return err
	}
	var saw, old []string
	for _, n := range needs {
		name := kmsg.NameForKey(n.key)
		span, ok := speaks[n.key]
		switch {
		case !ok:
			old = append(old, fmt.Sprintf("it does not know %s (%s)", name, n.why))
		case span.Most < n.least:
			old = append(old, fmt.Sprintf("it speaks %s %d to %d only (%s)", name, span.Least, span.Most, n.why))
		}
		if ok {
			saw = append(saw, fmt.Sprintf("%s %d to %d", name, span.Least, span.Most))
		}
	}
	s.Saw = strings.Join(saw, ", ")
	if len(old) > 0 {
		return advise("a newer broker is needed, or a client of its age", fmt.Errorf("the broker is too old: %s", strings.Join(old, "; ")))
	}
	return nil
}

func (w *walk) login(ctx context.Context, v *kafka.Visit, s *Step) error {
	l := v.Credentials()
	if l.MechanismName() == "" {
		s.Verdict, s.Saw = Skipped, "security.protocol "+l.Protocol()+" does not log in"
		return nil
	}
	offered, life, err := v.Login(ctx)
	if len(offered) > 0 {
		s.Saw = "offered: " + clean(strings.Join(offered, ", "))
	}
	if err != nil {
		return err
	}
	s.Saw = fmt.Sprintf("%s by %s, %s", l.Who(), l.MechanismName(), s.Saw)
	if life > 0 {
		s.Saw += fmt.Sprintf("; the login lasts %v", life)
	}
	return nil
}

// shut says why a broker hung up at the first question of a client that did not log in.
func (w *walk) shut(ctx context.Context, addr string, l loginer, err error) error {
	if kafka.TroubleOf(err) != kafka.PeerReset || l.MechanismName() != "" {
		return err
	}
	offered, asked := w.offered(ctx, addr)
	if !asked || len(offered) == 0 {
		return err
	}
	return advise("set security.protocol to "+"SASL_"+l.Protocol()+", sasl.mechanism to one of those, and the user",
		fmt.Errorf("the listener wants a login and hangs up without one; it offers %s", clean(strings.Join(offered, ", "))))
}

type loginer interface {
	MechanismName() string
	Protocol() string
}

// offered asks on a connection of its own which logins a listener takes.
func (w *walk) offered(ctx context.Context, addr string) (list []string, asked bool) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Patience)
	defer cancel()
	v, err := w.open(ctx, addr)
	if err != nil {
		return nil, false
	}
	defer func() { _ = v.Close() }() // it has done its work
	if _, err := v.Greet(ctx); err != nil {
		return nil, false
	}
	list, err = v.Offered(ctx)
	return list, err == nil
}

// open connects to an address and speaks TLS if that is wanted, without a note.
func (w *walk) open(ctx context.Context, addr string) (*kafka.Visit, error) {
	v, err := w.client.Visit(ctx, addr)
	if err != nil {
		return nil, err
	}
	host, err := hostOf(addr)
	if err != nil {
		return nil, err
	}
	ips, err := w.resolve(ctx, host, new(Step))
	if err == nil {
		err = w.dial(ctx, v, ips, new(Step))
	}
	if err == nil {
		_, err = v.Secure(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}
