package realkafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"sync"

	"github.com/streamdown/streamdown/test/process"
)

// ClusterOptions says how a cluster is run. Dir is required.
type ClusterOptions struct {
	Dir        string // of all nodes, one directory each; made when missing
	Brokers    int    // 0 = 3
	Properties map[string]string
	JVM        []string // after the package's own, which are small: -Xmx192m
	Log        *slog.Logger
}

// Cluster is a Kafka of several brokers and one controller, each in a process of its own. The controller has no
// partitions and nobody harms it: any number of brokers may be killed, and elections go on.
//
// A broker is reached by two ports: clients are told the one of its Door, which can be made to fail; tests that look
// after the cluster, and the brokers among each other, use the other one.
type Cluster struct {
	Controller *Broker
	Brokers    []*Member
}

// Member is one broker of a cluster. Its Addr is not the Door's.
type Member struct {
	*Broker
	Door *Door
}

// StartCluster runs a cluster and returns once every broker answers. It lives until Close, or until the test process
// ends; ctx bounds the start only.
func StartCluster(ctx context.Context, o ClusterOptions) (*Cluster, error) {
	n := o.Brokers
	if n == 0 {
		n = 3
	}
	ports, err := process.Ports(1 + 3*n)
	if err != nil {
		return nil, fmt.Errorf("start a cluster: %w", err)
	}
	voter := fmt.Sprintf("%d@127.0.0.1:%d", controllerID, ports[0])
	jvm := append([]string{"-Xmx192m"}, o.JVM...)
	c := &Cluster{}
	id := clusterID()
	c.Controller, err = prepare(ctx, Options{Dir: filepath.Join(o.Dir, "controller"), JVM: jvm, Log: o.Log}, controller(voter, ports[0], o.Properties))
	if err != nil {
		return nil, err
	}
	c.Controller.id, c.Controller.port = controllerID, ports[0]
	c.Controller.ready = func(context.Context, *process.Process) error { return nil } // the brokers will tell
	for i := range n {
		node, at := int32(i+1), memberPorts(ports[1+3*i:]) //nolint:gosec // small
		b, err := prepare(ctx, Options{Dir: filepath.Join(o.Dir, fmt.Sprintf("broker%d", node)), JVM: jvm, Log: o.Log}, member(node, voter, at, n, o.Properties))
		if err != nil {
			return nil, err
		}
		b.id, b.port = node, at.direct
		b.ready = func(ctx context.Context, p *process.Process) error { return answers(ctx, b.Addr(), b.id, p) }
		door, err := openDoor(fmt.Sprintf("127.0.0.1:%d", at.door), fmt.Sprintf("127.0.0.1:%d", at.behind))
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.Brokers = append(c.Brokers, &Member{b, door})
	}
	if err := c.begin(ctx, id); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// begin formats and starts all nodes at once.
func (c *Cluster) begin(ctx context.Context, id string) error {
	nodes := []*Broker{c.Controller}
	for _, m := range c.Brokers {
		nodes = append(nodes, m.Broker)
	}
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, b := range nodes {
		all.Go(func() {
			if errs[i] = b.format(ctx, id); errs[i] == nil {
				errs[i] = b.Restart(ctx)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Bootstrap is what clients are given: the doors, "host:port,host:port".
func (c *Cluster) Bootstrap() string {
	var list []string
	for _, m := range c.Brokers {
		list = append(list, m.Door.Addr())
	}
	return strings.Join(list, ",")
}

// Addrs are the brokers' own ports, past the doors.
func (c *Cluster) Addrs() []string {
	var list []string
	for _, m := range c.Brokers {
		list = append(list, m.Addr())
	}
	return list
}

// Broker returns the member with a node id, nil if there is none.
func (c *Cluster) Broker(id int32) *Member {
	if id < 1 || int(id) > len(c.Brokers) {
		return nil
	}
	return c.Brokers[id-1]
}

// Close kills all nodes and closes the doors.
func (c *Cluster) Close() error {
	var errs []error
	for _, m := range c.Brokers {
		m.Door.Close()
		if m.running() != nil {
			errs = append(errs, m.Kill())
		}
	}
	if c.Controller.running() != nil {
		errs = append(errs, c.Controller.Kill())
	}
	return errors.Join(errs...)
}

// controllerID is far from those of the brokers, which count from 1.
const controllerID = 100

func controller(voter string, port int, extra map[string]string) map[string]string {
	all := small()
	maps.Copy(all, map[string]string{
		"process.roles":                  "controller",
		"node.id":                        fmt.Sprint(controllerID),
		"controller.quorum.voters":       voter,
		"listeners":                      fmt.Sprintf("CONTROLLER://127.0.0.1:%d", port),
		"controller.listener.names":      "CONTROLLER",
		"listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,DIRECT:PLAINTEXT",
	})
	maps.Copy(all, extra)
	return all
}

// ports of a broker: past its door, the door's, and the one behind the door.
type ports struct{ direct, door, behind int }

func memberPorts(p []int) ports { return ports{p[0], p[1], p[2]} }

// member is the configuration of a broker. Who comes in by the port behind the door is told the doors of all.
func member(id int32, voter string, at ports, brokers int, extra map[string]string) map[string]string {
	all := small()
	maps.Copy(all, map[string]string{
		"process.roles":                  "broker",
		"node.id":                        fmt.Sprint(id),
		"controller.quorum.voters":       voter,
		"listeners":                      fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,DIRECT://127.0.0.1:%d", at.behind, at.direct),
		"advertised.listeners":           fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,DIRECT://127.0.0.1:%d", at.door, at.direct),
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     "DIRECT",
		"listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,DIRECT:PLAINTEXT",

		"auto.create.topics.enable":                        "false",
		"offsets.topic.replication.factor":                 fmt.Sprint(min(brokers, 3)),
		"transaction.state.log.replication.factor":         fmt.Sprint(min(brokers, 3)),
		"share.coordinator.state.topic.replication.factor": fmt.Sprint(min(brokers, 3)),
		// A follower that does not keep up leaves the in-sync replicas soon, or a paused one would hold everything for 30 s.
		"replica.lag.time.max.ms":   "3000",
		"replica.fetch.wait.max.ms": "200",
		// Nobody but the tests moves leaders.
		"auto.leader.rebalance.enable": "false",
	})
	maps.Copy(all, extra)
	return all
}

// Exchange puts an empty cluster with an id of its own in the place of this one, at the same addresses, and starts it.
func (c *Cluster) Exchange(ctx context.Context) error {
	nodes := []*Broker{c.Controller}
	for _, m := range c.Brokers {
		nodes = append(nodes, m.Broker)
	}
	for _, b := range nodes {
		if err := errors.Join(b.Kill(), b.empty()); err != nil {
			return err
		}
	}
	return c.begin(ctx, clusterID())
}
