package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/ingest"
)

// serveBoth serves two brokers, 1 for the topics that begin with "critical" and 4 for the others.
func serveBoth(t testing.TB, cfg Config, in Intake, d Directory, bind ...string) (s *Server, addrs []string) {
	t.Helper()
	if len(bind) == 0 {
		bind = []string{"127.0.0.1:0", "127.0.0.1:0"}
	}
	var listeners []net.Listener
	for _, at := range bind {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Skipf("this machine has no %s: %v", at, err)
		}
		listeners, addrs = append(listeners, l), append(addrs, l.Addr().String())
	}
	if len(cfg.Brokers) == 0 {
		cfg.Brokers = []Broker{{NodeID: 1}, {NodeID: 4}}
	}
	if cfg.Leader == nil {
		cfg.Leader = func(topic string) int {
			if strings.HasPrefix(topic, "critical") {
				return 0
			}
			return 1
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s = New(cfg, in, d)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, listeners...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, addrs
}

func TestEachClassHasABrokerOfItsOwnInEveryVersion(t *testing.T) {
	m := newMemory("critical-t", "low-t")
	_, addrs := serveBoth(t, Config{Brokers: []Broker{{1, "gate.example:30000"}, {4, "other.example:30001"}}}, m, m)
	for _, addr := range addrs { // any of them tells all
		p := dial(t, addr)
		for version := range int16(14) {
			r := described(version)
			p.ask(metadataOf(version, false, "critical-t", "low-t"), r)
			if len(r.Brokers) != 2 || r.Brokers[0].Host != "gate.example" || r.Brokers[1].NodeID != 4 || r.Brokers[1].Port != 30001 {
				t.Fatalf("v%d: brokers %+v", version, r.Brokers)
			}
			for i, want := range []int32{1, 4} {
				for _, part := range r.Topics[i].Partitions {
					if part.Leader != want || part.Replicas[0] != want {
						t.Errorf("v%d: %s is led by %d, want %d", version, *r.Topics[i].Topic, part.Leader, want)
					}
				}
			}
		}
		q, d := kmsg.NewPtrDescribeClusterRequest(), kmsg.NewPtrDescribeClusterResponse()
		p.ask(q, d)
		if len(d.Brokers) != 2 || d.Brokers[1].Host != "other.example" {
			t.Errorf("DescribeCluster shows %+v", d.Brokers)
		}
	}
}

// What is taken at the port of another class could have that class wait for its answer.
func TestTheWrongPortTakesNothing(t *testing.T) {
	m := newMemory("critical-t", "low-t")
	_, addrs := serveBoth(t, Config{}, m, m)
	both := produceOf(9, -1, "critical-t", 0)
	both.Topics = append(both.Topics, produceOf(9, -1, "low-t", 0, 1).Topics...)
	r := produced(9)
	dial(t, addrs[0]).ask(both, r)
	if r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("the port's own topic: %+v", r.Topics[0].Partitions)
	}
	for _, p := range r.Topics[1].Partitions {
		if p.ErrorCode != codeNotLeader {
			t.Errorf("another class's topic: %+v", p)
		}
	}
	if m.records("critical-t") != 1 || m.records("low-t") != 0 {
		t.Errorf("%d and %d records", m.records("critical-t"), m.records("low-t"))
	}
	p := dial(t, addrs[0])
	p.send(frame(1, produceOf(9, 0, "low-t", 0)))
	p.closed() // acks=0 has no other way to learn it
	p = dial(t, addrs[1])
	r = produced(9)
	p.ask(produceOf(9, -1, "other-x", 0), r)
	if code := r.Topics[0].Partitions[0].ErrorCode; code == codeNotLeader {
		t.Error("a topic that no stream takes is sent from port to port")
	}
}

// keptBack answers for critical topics at once and for others when it is let.
type keptBack struct {
	*memory
	low chan struct{}
}

func (k keptBack) Produce(r ingest.Request, done func(ingest.Result)) {
	if strings.HasPrefix(r.TopicPartition.Topic, "critical") {
		k.memory.Produce(r, done)
		return
	}
	k.memory.Produce(r, func(res ingest.Result) {
		go func() {
			<-k.low
			done(res)
		}()
	})
}

// The promise of classes: one client, whose low records get no answer, goes on with its critical ones.
func TestHeldLowAnswersLeaveCriticalOnesAlone(t *testing.T) {
	m := newMemory("critical-t", "low-t")
	k := keptBack{m, make(chan struct{})}
	s, addrs := serveBoth(t, Config{MaxInFlightBytes: 8 << 10}, k, m)
	cl := newClient(t, addrs[1])
	low := make(chan error, 100)
	for range 100 {
		cl.Produce(t.Context(), &kgo.Record{Topic: "low-t", Value: make([]byte, 1000)}, func(_ *kgo.Record, err error) { low <- err })
	}
	// Also when the low class has used up all the bytes that may be open.
	eventually(t, "low records are in, unanswered", func() bool { return s.brokers[1].hold.bytes() >= 4<<10 })
	for range 100 {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "critical-t", Value: make([]byte, 1000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-low:
		t.Fatalf("a low record was answered: %v", err)
	default:
	}
	close(k.low)
	for range 100 {
		if err := <-low; err != nil {
			t.Fatal(err)
		}
	}
}

// A priority that changes moves the leader; clients ask for metadata and go there.
func TestClientsFollowATopicToItsNewClass(t *testing.T) {
	m := newMemory("t")
	var at atomic.Int32
	s, addrs := serveBoth(t, Config{Leader: func(string) int { return int(at.Load()) }}, m, m)
	cl := newClient(t, addrs[0], kgo.MetadataMinAge(10*time.Millisecond))
	for i := range 6 {
		at.Store(int32(i % 2))
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if n := m.records("t"); n != 6 || s.Stats().Refusals[codeNotLeader] == 0 {
		t.Errorf("%d records, refusals %v", n, s.Stats().Refusals)
	}
}

func TestClientsOverIPv6ProduceToEachClass(t *testing.T) {
	m := newMemory("critical-t", "low-t")
	_, addrs := serveBoth(t, Config{}, m, m, "[::1]:0", "[::1]:0")
	r := described(9)
	dial(t, addrs[0]).ask(metadataOf(9, false), r)
	for _, b := range r.Brokers {
		if b.Host != "::1" {
			t.Errorf("broker %d is told at %q: hosts have no brackets", b.NodeID, b.Host)
		}
	}
	produceAll(t, addrs[1], "critical-t", 10)
	produceAll(t, addrs[0], "low-t", 10)
	if m.records("critical-t") != 10 || m.records("low-t") != 10 {
		t.Errorf("%d and %d records", m.records("critical-t"), m.records("low-t"))
	}
}

// A listener for all addresses has none that could be told.
func TestClientsAreToldTheAddressThatTheyCameInBy(t *testing.T) {
	for _, c := range []struct{ bind, network, via, want string }{
		{"127.0.0.1:0", "tcp", "127.0.0.1", "127.0.0.1"},
		{"[::1]:0", "tcp", "::1", "::1"},
		{"[::]:0", "tcp4", "127.0.0.1", "127.0.0.1"}, // not ::ffff:127.0.0.1
	} {
		l, err := net.Listen("tcp", c.bind)
		if err != nil {
			t.Logf("this machine has no %s: %v", c.bind, err)
			continue
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		client, err := net.Dial(c.network, net.JoinHostPort(c.via, port))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ours, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		if host, port := (&virtual{port: 30001}).address(&conn{raw: ours}); host != c.want || port != 30001 {
			t.Errorf("%s: told %s %d, want %s 30001", c.bind, host, port, c.want)
		}
	}
}

func TestListenersForAllAddressesAdvertiseNone(t *testing.T) {
	for address, want := range map[string]string{"0.0.0.0:7": "", "[::]:7": "", "[2001:db8::1]:7": "2001:db8::1", "192.0.2.1:7": "192.0.2.1"} {
		at, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		var v virtual
		if err := v.learn(elsewhere{addr: at}); err != nil || v.host != want || v.port != 7 {
			t.Errorf("%s: %q port %d, %v; want %q", address, v.host, v.port, err, want)
		}
	}
	v := virtual{Broker: Broker{Advertise: "gate.example:0"}}
	if err := v.learn(elsewhere{addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}}); err != nil || v.host != "gate.example" || v.port != 9 {
		t.Errorf("%q port %d, %v", v.host, v.port, err)
	}
}

func TestOneListenerThatEndsEndsThemAll(t *testing.T) {
	m := newMemory("t")
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Brokers: []Broker{{NodeID: 1}, {NodeID: 2}}}, m, m)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(t.Context(), a, b) }()
	eventually(t, "it serves", func() bool { return len(s.Advertised()) == 2 })
	b.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	if _, err := net.DialTimeout("tcp", a.Addr().String(), time.Second); err == nil {
		t.Error("the other listener is still open")
	}
}
