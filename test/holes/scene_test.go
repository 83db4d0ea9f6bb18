//go:build real

package holes_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/test/daemon"
	"github.com/streamdown/streamdown/test/process"
	"github.com/streamdown/streamdown/test/reader"
	"github.com/streamdown/streamdown/test/realkafka"
)

var binary string // of streamdown

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "streamdown-holes-")
	if err == nil {
		binary, err = daemon.Build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	code := m.Run()
	for _, k := range clusters {
		code = max(code, k.end(code != 0))
	}
	_ = os.RemoveAll(dir)
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// waitsFor skips a test whose rule is asserted before the code follows it.
func waitsFor(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("HOLES") != "all" {
		t.Skip("waits for " + what + "; HOLES=all runs it")
	}
}

// kafka is a cluster that tests share, with a topic and a gateway for each.
type kafka struct {
	*realkafka.Cluster
	admin *realkafka.Admin
	dir   string
	log   *slog.Logger
}

// kind of Kafka that a test wants.
type kind struct {
	brokers int
	expiry  string // producer.id.expiration.ms, with a look every 200 ms; empty = Kafka's own
}

var (
	plain = kind{brokers: 1}
	// forgetful takes records of five hours ago for those of a producer that is gone.
	forgetful = kind{brokers: 1, expiry: "3600000"}
	hasty     = kind{brokers: 1, expiry: "1500"}
	pair      = kind{brokers: 2}
)

// clusters are those that run. One that the next test does not want ends before it: a small machine bears one.
var clusters = map[kind]*kafka{}

func startKafka(t *testing.T, want kind) *kafka {
	t.Helper()
	if k := clusters[want]; k != nil {
		return k
	}
	for _, k := range clusters {
		k.end(false)
	}
	dir, err := os.MkdirTemp("", "streamdown-holes-")
	if err != nil {
		t.Fatal(err)
	}
	properties := map[string]string{"log.retention.check.interval.ms": "300", "log.initial.task.delay.ms": "300"}
	if want.expiry != "" {
		properties["producer.id.expiration.ms"], properties["producer.id.expiration.check.interval.ms"] = want.expiry, "200"
	}
	k := &kafka{dir: dir, log: slog.New(slog.NewTextHandler(os.Stdout, nil))}
	k.Cluster, err = realkafka.StartCluster(t.Context(), realkafka.ClusterOptions{
		Dir: filepath.Join(dir, "kafka"), Brokers: want.brokers, Properties: properties, Log: k.log,
	})
	if err == nil {
		k.admin, err = realkafka.NewAdmin(k.Addrs()...)
	}
	if err != nil {
		t.Fatal(err)
	}
	clusters[want] = k
	fmt.Printf("holes: Apache Kafka %s, %+v\n", k.Controller.Version, want)
	return k
}

// end ends a cluster for good and removes its data, unless somebody will want to look into it. It returns an exit code.
func (k *kafka) end(keep bool) int {
	for kind, other := range clusters {
		if k == other {
			delete(clusters, kind)
		}
	}
	k.admin.Close()
	err := k.Close()
	if keep || os.Getenv("KEEP") != "" {
		fmt.Printf("holes: logs and data are kept in %s\n", k.dir)
	} else {
		err = errors.Join(err, os.RemoveAll(k.dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// scene is one gateway before a Kafka, one topic, and all that was promised.
type scene struct {
	*testing.T
	ctx     context.Context //nolint:containedctx // of one test
	kafka   *kafka
	topic   string
	gateway *daemon.Daemon
	checker *check.Checker
	parts   int
	next    map[*daemon.Daemon][]uint64    // sequence by partition: what goes through one gateway is in order
	clients map[*daemon.Daemon]*kgo.Client // franz-go has one request in flight until its first ack: a new one for each send would keep to that
}

const patience = 3 * time.Minute

// begin makes a topic with the given replicas of each partition, and a gateway of its own for it.
func (k *kafka) begin(t *testing.T, replicas [][]int32, config map[string]string) *scene {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	name := strings.NewReplacer("/", "-", " ", "-", ".", "-", ",", "").Replace(strings.TrimPrefix(t.Name(), "Test"))
	s := &scene{T: t, ctx: ctx, kafka: k, topic: name[max(0, len(name)-100):], checker: check.New(check.Config{MinShare: 1}), parts: len(replicas), next: map[*daemon.Daemon][]uint64{}, clients: map[*daemon.Daemon]*kgo.Client{}}
	if err := k.admin.Create(ctx, s.topic, replicas, config); err != nil {
		t.Fatal(err)
	}
	var err error
	s.gateway, err = daemon.Start(ctx, daemon.Options{Binary: binary, Dir: filepath.Join(k.dir, s.topic), Upstream: k.Bootstrap(), Log: k.log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.gateway.Kill()
		if t.Failed() {
			fmt.Printf("the gateway's last words:\n%s\n", process.Tail(s.gateway.Output(), 40))
			k.end(true) // a broker may be down, or asleep: the next test gets another Kafka
		}
	})
	return s
}

// one is the replicas of a topic with n partitions at one broker.
func one(n int) [][]int32 { return slices.Repeat([][]int32{{1}}, n) }

// send gives n records of the age to each partition, in batches of about ten, and waits for the acks.
func (s *scene) send(n int, age time.Duration) {
	s.Helper()
	s.to(s.gateway, n, age)
}

func (s *scene) to(d *daemon.Daemon, n int, age time.Duration) {
	s.Helper()
	cl := s.client(d)
	next, life := s.next[d], uint32(0)
	if d != s.gateway {
		life = 1
	}
	for len(next) < s.parts {
		next = append(next, 0)
	}
	s.next[d] = next
	for range n {
		for p := range next {
			stream := check.Stream{Producer: uint32(p), Incarnation: life} //nolint:gosec // small
			seq := next[p]
			next[p]++
			s.checker.Sent(stream, seq)
			r := &kgo.Record{Partition: int32(p), Timestamp: time.Now().Add(-age), Value: check.AppendRecord(nil, check.Record{Producer: stream.Producer, Incarnation: life, Seq: seq, Size: 100})} //nolint:gosec // small
			cl.Produce(s.ctx, r, func(_ *kgo.Record, err error) {
				if err != nil {
					s.Errorf("partition %d, record %d: %v", p, seq, err)
					return
				}
				s.checker.Acked(stream, seq)
			})
		}
	}
	if err := cl.Flush(s.ctx); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) client(d *daemon.Daemon) *kgo.Client {
	s.Helper()
	if cl := s.clients[d]; cl != nil {
		return cl
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(d.Addr()), kgo.DefaultProduceTopic(s.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(1400), kgo.MaxBufferedRecords(200), kgo.MetadataMinAge(100*time.Millisecond))
	s.must(err)
	s.Cleanup(cl.Close)
	s.clients[d] = cl
	return cl
}

// anew has the producer start again: franz-go gives up on a topic whose id changes.
func (s *scene) anew() {
	if cl := s.clients[s.gateway]; cl != nil {
		cl.Close()
		delete(s.clients, s.gateway)
	}
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) status() (st api.Status) { return s.statusOf(s.gateway) }

func (s *scene) statusOf(d *daemon.Daemon) (st api.Status) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, d.HTTP()+"/v1/status", nil)
	s.must(err)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	s.must(err)
	defer resp.Body.Close()
	s.must(json.NewDecoder(resp.Body).Decode(&st))
	return st
}

// until waits for a state of the gateway.
func (s *scene) until(what string, ok func(api.Status) bool) api.Status {
	s.Helper()
	var st api.Status
	s.eventually(what, func() bool { st = s.status(); return ok(st) }, func() string {
		return fmt.Sprintf("breaker %s (%s), lanes %+v", st.Target.Breaker, st.Target.BreakerWhy, st.Lanes)
	})
	return st
}

func (s *scene) eventually(what string, ok func() bool, now func() string) {
	s.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.Fatalf("never: %s; %s", what, now())
		}
	}
}

// drained waits until nothing is left to send.
func (s *scene) drained() api.Status {
	s.Helper()
	return s.until("drained", func(st api.Status) bool { return st.Records.Backlog == 0 })
}

// stopped waits until every lane has stopped for a reason that says so.
func (s *scene) stopped(says string) {
	s.Helper()
	st := s.until("stopped: "+says, func(st api.Status) bool {
		for i := range st.Lanes {
			if l := &st.Lanes[i]; l.Stop == nil || !strings.Contains(l.Stop.Reason, says) {
				return false
			}
		}
		return len(st.Lanes) > 0
	})
	s.Log(st.Lanes[0].Stop.Reason)
}

// ends are the ends of the topic at Kafka.
func (s *scene) ends() (all int64) {
	s.Helper()
	ends, err := s.kafka.admin.Ends(s.ctx, s.topic)
	s.must(err)
	for _, e := range ends {
		all += e
	}
	return all
}

// stored waits until the topic holds n records.
func (s *scene) stored(n int64) {
	s.Helper()
	s.eventually(fmt.Sprintf("%d records at Kafka", n), func() bool { return s.ends() >= n }, func() string { return fmt.Sprint(s.ends()) })
}

// forgotten waits until Kafka has no state of any producer of the topic.
func (s *scene) forgotten() {
	s.Helper()
	known := 0
	s.eventually("Kafka forgets the producer", func() bool {
		var err error
		known, err = s.kafka.admin.Producers(s.ctx, s.topic, s.parts)
		s.must(err)
		return known == 0
	}, func() string { return fmt.Sprintf("it knows %d", known) })
}

// reconcile asks the command.
func (s *scene) reconcile() *reconcile.Report {
	s.Helper()
	out, err := exec.CommandContext(s.ctx, binary, "reconcile", "-c", s.gateway.Config(), "--format", "json").Output() //nolint:gosec // ours
	rep := &reconcile.Report{}
	if jsonErr := json.Unmarshal(out, rep); jsonErr != nil {
		s.Fatalf("reconcile: %v, %v: %s", err, jsonErr, out)
	}
	s.Logf("reconcile: %s", rep)
	return rep
}

// found reads the topic from its start and says what became of what was acked.
func (s *scene) found() check.Report {
	s.Helper()
	rd, err := reader.Open(s.kafka.Addrs()[0], s.topic, int32(s.parts), s.checker) //nolint:gosec // small
	s.must(err)
	defer rd.Close()
	s.must(rd.CatchUp(s.ctx))
	return s.checker.Final()
}

// proved wants every acked record at Kafka once and in order, as seen by a consumer and by reconcile.
func (s *scene) proved() *reconcile.Report {
	s.Helper()
	if rep := s.found(); rep.Exit() != check.ExitOK {
		s.Errorf("%s\n%v", rep, rep.Examples)
	}
	rep := s.reconcile()
	if rep.Exit() != 0 {
		s.Errorf("reconcile does not prove it: exit code %d", rep.Exit())
	}
	return rep
}

// restart kills the gateway and runs it again.
func (s *scene) restart() {
	s.Helper()
	s.must(s.gateway.Kill())
	s.must(s.gateway.Restart(s.ctx))
}

// unheard has Kafka store n more records of each partition without any answer that is heard, and leaves the door shut.
func (s *scene) unheard(n int, age time.Duration) {
	s.Helper()
	before := s.ends()
	door := s.kafka.Brokers[0].Door
	door.Mute()
	s.send(n, age)
	s.stored(before + 1)
}

// heard opens the door again; what was on its way is lost.
func (s *scene) heard() {
	s.Helper()
	door := s.kafka.Brokers[0].Door
	door.Cut()
	s.must(door.Open())
}
