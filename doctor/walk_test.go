package doctor_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/doctor"
	"github.com/streamdown/streamdown/wire"
)

// embedded is a broker in this process: the protocol of Kafka and not Kafka.
func embedded(t *testing.T) (*kfake.Cluster, string) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, c.ListenAddrs()[0]
}

func walk(t *testing.T, cfg doctor.Config) *doctor.Report {
	t.Helper()
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Second
	}
	r, err := doctor.Walk(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// at returns the first step of a name.
func at(t *testing.T, r *doctor.Report, name string) doctor.Step {
	t.Helper()
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	b, _ := json.MarshalIndent(r, "", " ")
	t.Fatalf("no step %s in %s", name, b)
	return doctor.Step{}
}

func problem(s doctor.Step) string {
	if s.Problem == nil {
		return ""
	}
	return *s.Problem
}

func TestAFreeWayIsWalkedToItsEnd(t *testing.T) {
	_, addr := embedded(t)
	r := walk(t, doctor.Config{Target: addr, Topics: []string{"orders"}, Produce: true})
	if r.Verdict != doctor.OK || r.Exit() != 0 {
		t.Errorf("verdict %s, exit %d: %+v", r.Verdict, r.Exit(), r.Steps)
	}
	var names []string
	for _, s := range r.Steps {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "credentials dns tcp tls versions login metadata address topic producer_id produce" {
		t.Errorf("steps %s", got)
	}
	if s := at(t, r, doctor.StepProduce); !strings.Contains(s.Saw, "one record in partition 0 at offset 0") {
		t.Errorf("produce saw %q: %s", s.Saw, problem(s))
	}
}

func TestNothingIsWrittenUnlessItIsAskedFor(t *testing.T) {
	c, addr := embedded(t)
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		t.Error("a record was produced")
		return nil, nil, false
	})
	if r := walk(t, doctor.Config{Target: addr, Topics: []string{"orders"}}); r.Verdict != doctor.OK {
		t.Errorf("%+v", r.Steps)
	}
}

func TestANameWithoutAnAddressIsSaid(t *testing.T) {
	r := walk(t, doctor.Config{Target: "k1.invalid:9092", Resolve: func(_ context.Context, host string) ([]string, error) {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}})
	if s := at(t, r, doctor.StepDNS); s.Verdict != doctor.Unreachable || r.Exit() != 69 || s.Try == nil {
		t.Errorf("exit %d: %+v", r.Exit(), s)
	}
}

func TestOneDeadAddressOfSeveralIsAWarning(t *testing.T) {
	_, addr := embedded(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	r := walk(t, doctor.Config{
		Target:  net.JoinHostPort("kafka.test", port),
		Resolve: func(context.Context, string) ([]string, error) { return []string{"127.0.0.9", "127.0.0.1"}, nil },
		Dial: func(ctx context.Context, network, a string) (net.Conn, error) {
			if strings.HasPrefix(a, "127.0.0.9:") {
				<-ctx.Done() // a firewall that swallows everything
				return nil, ctx.Err()
			}
			return new(net.Dialer).DialContext(ctx, network, a)
		},
		Patience: 500 * time.Millisecond,
	})
	if s := at(t, r, doctor.StepTCP); s.Verdict != doctor.Warning || !strings.Contains(problem(s), "127.0.0.9") || r.Exit() != 0 {
		t.Errorf("exit %d: %+v %s", r.Exit(), s, problem(s))
	}
}

func TestAnAdvertisedAddressThatCannotBeReachedIsNamed(t *testing.T) {
	c, addr := embedded(t)
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		r := req.ResponseKind().(*kmsg.MetadataResponse)
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = 7, "kafka-7.invalid", 9092
		r.Brokers = append(r.Brokers, b)
		return r, nil, true
	})
	r := walk(t, doctor.Config{Target: addr})
	s := at(t, r, doctor.StepAddress)
	if s.Subject != "kafka-7.invalid:9092" || s.Verdict != doctor.Unreachable || s.Try == nil || !strings.Contains(*s.Try, "advertised.listeners") {
		t.Errorf("%+v %s", s, problem(s))
	}
	if r.Exit() != 3 {
		t.Errorf("exit %d, want 3: the cluster was reached", r.Exit())
	}
}

func TestRightsAreReadFromTheBroker(t *testing.T) {
	for _, c := range []struct {
		name    string
		code    int16
		ops     int32
		verdict doctor.Verdict
		says    string
	}{
		{"may write", 0, 1<<4 | 1<<8, doctor.OK, ""},
		{"may only read", 0, 1<<3 | 1<<8, doctor.Wrong, "not write to it"},
		{"may not see", 29, -2147483648, doctor.Wrong, "may not see it"},
		{"not there", 3, -2147483648, doctor.Wrong, "no such topic"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster, addr := embedded(t)
			cluster.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				r := req.ResponseKind().(*kmsg.MetadataResponse)
				b := kmsg.NewMetadataResponseBroker()
				host, port, _ := net.SplitHostPort(addr)
				b.Host = host
				for _, d := range port {
					b.Port = b.Port*10 + d - '0'
				}
				r.Brokers = append(r.Brokers, b)
				topic, name := kmsg.NewMetadataResponseTopic(), "orders"
				topic.Topic, topic.ErrorCode, topic.AuthorizedOperations = &name, c.code, c.ops
				if c.code == 0 {
					topic.Partitions = append(topic.Partitions, kmsg.NewMetadataResponseTopicPartition())
				}
				r.Topics = append(r.Topics, topic)
				return r, nil, true
			})
			s := at(t, walk(t, doctor.Config{Target: addr, Topics: []string{"orders"}}), doctor.StepTopic)
			if s.Verdict != c.verdict || !strings.Contains(problem(s), c.says) {
				t.Errorf("%+v %s", s, problem(s))
			}
		})
	}
}

// stranger takes connections and does with them what serve does.
func stranger(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// Whatever listens there, the walk ends, and says at which step.
func TestAWalkEndsWhateverListensThere(t *testing.T) {
	for _, c := range []struct {
		name    string
		serve   func(net.Conn)
		verdict doctor.Verdict
		exit    int
	}{
		{"silent", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, doctor.Unreachable, 69},
		{"hangs up", func(net.Conn) {}, doctor.Wrong, 3},
		{"web server", func(c net.Conn) {
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
		}, doctor.Wrong, 3},
		{"endless", func(c net.Conn) {
			for {
				if _, err := c.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, doctor.Wrong, 3},
		{"huge frame", func(c net.Conn) { _, _ = c.Write([]byte{0x7f, 0xff, 0xff, 0xff, 0, 0}) }, doctor.Wrong, 3},
		{"old broker", func(c net.Conn) { answerVersions(c, 2) }, doctor.Wrong, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := walk(t, doctor.Config{Target: stranger(t, c.serve), Patience: time.Second})
			s := at(t, r, doctor.StepVersions)
			if s.Verdict != c.verdict || r.Exit() != c.exit || s.Problem == nil {
				t.Errorf("exit %d: %+v %s", r.Exit(), s, problem(s))
			}
			if c.name == "old broker" && !strings.Contains(problem(s), "too old") {
				t.Errorf("says %q", problem(s))
			}
		})
	}
}

// answerVersions is a broker that speaks Produce up to most, as Kafka 0.10 did.
func answerVersions(c net.Conn, most int16) {
	for {
		frame, err := wire.ReadFrame(c, nil, 1<<16)
		if err != nil {
			return
		}
		h, _, err := wire.ParseRequestHeader(frame)
		if err != nil {
			return
		}
		resp := kmsg.NewPtrApiVersionsResponse()
		if h.Version > 0 {
			resp.ErrorCode = 35
		}
		for _, key := range []int16{0, 3, 18} {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MaxVersion = key, most
			resp.ApiKeys = append(resp.ApiKeys, k)
		}
		out := make([]byte, 4)
		out = binary.BigEndian.AppendUint32(out, uint32(h.CorrelationID))
		out = resp.AppendTo(out)
		binary.BigEndian.PutUint32(out, uint32(len(out)-4))
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

func TestACallerThatLeavesEndsTheWalk(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := stranger(t, func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 4)) // it waits for the answer
		cancel()
		_, _ = io.Copy(io.Discard, c)
	})
	r, err := doctor.Walk(ctx, doctor.Config{Target: addr, Patience: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if s := at(t, r, doctor.StepVersions); s.Problem == nil {
		t.Errorf("%+v", s)
	}
}

func TestReportIsJSONWithSecondsAndNulls(t *testing.T) {
	r := walk(t, doctor.Config{Target: "127.0.0.1:1"})
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"schema_version":1`, `"step":"tcp"`, `"verdict":"unreachable"`, `"try":null`, `"elapsed_seconds":0`, `"settings":null`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
	if _, err := doctor.Walk(t.Context(), doctor.Config{Target: "k1"}); err == nil {
		t.Error("a target without a port is walked to")
	}
	if _, err := doctor.Walk(t.Context(), doctor.Config{Target: "k1:9092", Produce: true}); err == nil || errors.Is(err, io.EOF) {
		t.Error("a record without a topic is written")
	}
}
