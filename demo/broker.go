package demo

import (
	"fmt"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kfake"
)

// BrokerName is what every output calls the broker of the demo.
const BrokerName = "embedded kfake"

const topic = "orders"

// broker is the embedded broker: stopped and started again, it keeps its address and its data.
type broker struct {
	dir        string
	partitions int
	port       int
	cluster    *kfake.Cluster // nil while it is stopped
}

// Ports are taken from below the range that systems take the near ends of outgoing connections from. While the broker
// is away, its port could otherwise be given to one of those, even to a client that tries to reach it: TCP connects it
// to itself.
const firstPort, endPort = 15000, 32000

// openBroker starts a broker on a free port.
func openBroker(dir string, partitions int) (*broker, error) {
	b := &broker{dir: dir, partitions: partitions}
	var err error
	for range 50 {
		b.port = firstPort + rand.IntN(endPort-firstPort)
		if err = b.start(); err == nil {
			return b, nil
		}
	}
	return nil, err
}

// start is also how it comes back.
func (b *broker) start() error {
	c, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.Ports(b.port), kfake.DataDir(b.dir), kfake.SeedTopics(int32(b.partitions), topic),
	)
	if err != nil {
		return fmt.Errorf("start the embedded broker on port %d: %w", b.port, err)
	}
	b.cluster = c
	return nil
}

// stop ends the broker cleanly: its data is on disk when it returns. Stopping twice does nothing.
func (b *broker) stop() {
	if b.cluster != nil {
		b.cluster.Close()
		b.cluster = nil
	}
}

func (b *broker) addr() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }
