package realkafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Listener is one more port of a broker.
type Listener struct {
	Name       string            // in capital letters, such as LOGIN
	Protocol   string            // SSL, SASL_PLAINTEXT or SASL_SSL
	Properties map[string]string // of this listener alone: listener.name.NAME. is put before each key
}

// listener is a Listener in the words of server.properties.
type listener struct {
	address    string
	protocol   string
	properties map[string]string
}

func listeners(ports []int, list []Listener) []listener {
	out := make([]listener, len(list))
	for i, l := range list {
		out[i] = listener{
			address:    fmt.Sprintf("%s://127.0.0.1:%d", l.Name, ports[i]),
			protocol:   l.Name + ":" + l.Protocol,
			properties: make(map[string]string),
		}
		for key, value := range l.Properties {
			out[i].properties[prefix(l.Name)+key] = value
		}
	}
	return out
}

func prefix(listener string) string { return "listener.name." + strings.ToLower(listener) + "." }

// SetPassword gives a user a password for SCRAM-SHA-256 and SCRAM-SHA-512, a new one if it had one.
func (b *Broker) SetPassword(ctx context.Context, user, password string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		return fmt.Errorf("set the password of %s: %w", user, err)
	}
	defer cl.Close()
	for _, mechanism := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} { // one request may name a user once
		done, alterErr := kadm.NewClient(cl).AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{
			{User: user, Mechanism: mechanism, Iterations: 4096, Password: password},
		})
		err = errors.Join(err, alterErr)
		for _, d := range done {
			err = errors.Join(err, d.Err)
		}
	}
	if err != nil {
		return fmt.Errorf("set the password of %s: %w", user, err)
	}
	return nil
}

// Alter changes properties of a listener while the broker runs, such as ssl.keystore.location.
func (b *Broker) Alter(ctx context.Context, listener string, properties map[string]string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		return fmt.Errorf("alter listener %s: %w", listener, err)
	}
	defer cl.Close()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, "1"
	for key, value := range properties {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = prefix(listener)+key, &value
		r.Configs = append(r.Configs, c)
	}
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(ctx, cl)
	if err == nil && len(resp.Resources) == 1 {
		if err = kerr.ErrorForCode(resp.Resources[0].ErrorCode); err != nil && resp.Resources[0].ErrorMessage != nil {
			err = fmt.Errorf("%w: %s", err, *resp.Resources[0].ErrorMessage)
		}
	}
	if err != nil {
		return fmt.Errorf("alter listener %s: %w", listener, err)
	}
	return nil
}
