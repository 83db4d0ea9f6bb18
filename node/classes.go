package node

import (
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/gateway"
)

// openKafka binds a port for each class that the config has at the start, the highest first.
func (n *Node) openKafka() (err error) {
	defer func() {
		if err != nil {
			n.closeKafka()
		}
	}()
	for i, class := range n.classes() {
		purpose := "kafka"
		if i > 0 {
			purpose += "-" + string(class.Priority)
		}
		l, err := n.listen(purpose, class.Address)
		if err != nil && i > 0 {
			return fmt.Errorf("listen.kafka, class %s: %w; is another process on that port? listen.kafka.classes.%s.address sets another one",
				class.Priority, err, class.Priority)
		}
		if err != nil {
			return fmt.Errorf("listen.kafka: %w; is another process on that port?", err)
		}
		n.kafkaL = append(n.kafkaL, l)
	}
	return nil
}

func (n *Node) closeKafka() {
	for _, l := range n.kafkaL {
		_ = l.Close() // nobody is served yet
	}
}

// classes are those that have a port, the highest first: the ones of the config that the process began with.
func (n *Node) classes() []config.Class { return n.cfg.Listen.Kafka.Classes }

// nodeID is what clients know a class by. It does not depend on what other classes there are, so that none of them takes
// another one's place in what a client remembers; but where there is just one, it is node 1.
func (n *Node) nodeID(p config.Priority) int32 {
	if len(n.classes()) == 1 {
		return 1
	}
	return int32(rank(p)) + 1
}

// rank is 0 for the highest priority.
func rank(p config.Priority) int { return slices.Index(config.Priorities, p) }

func (n *Node) virtualBrokers() (brokers []gateway.Broker) {
	for _, class := range n.classes() {
		brokers = append(brokers, gateway.Broker{NodeID: n.nodeID(class.Priority), Advertise: class.Advertise})
	}
	return brokers
}

// leader says which class a topic belongs to now. A priority that came with a reload and has no port shares that of the
// next lower class, or of the lowest one.
func (n *Node) leader(topic string) int {
	s, ok := n.now().Match(topic)
	if !ok {
		return 0 // nobody may write to it
	}
	return n.classOf(s.Priority)
}

func (n *Node) classOf(p config.Priority) int {
	classes := n.classes()
	for i, class := range classes {
		if rank(class.Priority) >= rank(p) {
			return i
		}
	}
	return len(classes) - 1
}

// room is what the log may still grow by, and its maximal size: each class leaves some for those above it.
func (n *Node) room() (left, of int64) {
	s := n.wal.Stats()
	return s.Room, s.MaxSize
}

// classStatus tells where each class is reached.
func (n *Node) classStatus() (out []api.Class) {
	told := n.gateway.Advertised()
	for i, class := range n.classes() {
		c := api.Class{Priority: string(class.Priority), NodeID: n.nodeID(class.Priority), Address: n.kafkaL[i].Addr().String()}
		if i < len(told) && told[i].Host != "" {
			c.Advertised = api.Known(net.JoinHostPort(told[i].Host, strconv.Itoa(int(told[i].Port))))
		}
		out = append(out, c)
	}
	return out
}
