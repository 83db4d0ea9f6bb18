//go:build real

package node_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/test/realkafka"
)

// quarantineRun is a gateway before a real Kafka whose topics change while records wait.
type quarantineRun struct {
	*running
	t     *testing.T
	ctx   context.Context //nolint:containedctx // the test's
	kafka *realkafka.Broker
	admin *kadm.Client
	dir   string
}

func (q *quarantineRun) set(topic, key, value string) {
	q.t.Helper()
	got, err := q.admin.AlterTopicConfigs(q.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic)
	if err == nil {
		_, err = got.On(topic, nil)
	}
	if err != nil {
		q.t.Fatal(err)
	}
}

// refuse is set, and returns when the broker lives by it: it says so before it does. Until then it takes the probe.
func (q *quarantineRun) refuse(topic, key, value string, probe kgo.Record) {
	q.t.Helper()
	q.set(topic, key, value)
	cl, err := kgo.NewClient(kgo.SeedBrokers(q.kafka.Addr()), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		q.t.Fatal(err)
	}
	defer cl.Close()
	probe.Value = append([]byte(probed), probe.Value...)
	for {
		again := probe
		if cl.ProduceSync(q.ctx, &again).FirstErr() != nil {
			if q.ctx.Err() != nil {
				q.t.Fatalf("%s of %s does not become %s", key, topic, value)
			}
			return
		}
		pause(q.t)
	}
}

// probed marks records that are no part of the test.
const probed = "probe "

// send gives one batch for each record to the gateway, which acks it.
func (q *quarantineRun) send(topic string, records ...*kgo.Record) {
	q.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(q.KafkaAddr()), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		q.t.Fatal(err)
	}
	defer cl.Close()
	for _, r := range records {
		if err := cl.ProduceSync(q.ctx, r).FirstErr(); err != nil {
			q.t.Fatalf("produce %s: %v", r.Value, err)
		}
	}
}

// holds returns what a topic holds, in order.
func (q *quarantineRun) holds(topic string) (values []string) {
	q.t.Helper()
	ends, err := q.admin.ListEndOffsets(q.ctx, topic)
	if err != nil {
		q.t.Fatal(err)
	}
	end := ends[topic][0].Offset
	cl, err := kgo.NewClient(kgo.SeedBrokers(q.kafka.Addr()), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		q.t.Fatal(err)
	}
	defer cl.Close()
	for at := int64(0); at < end; {
		fetches := cl.PollFetches(q.ctx)
		if err := q.ctx.Err(); err != nil {
			q.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if at = r.Offset + 1; !strings.HasPrefix(string(r.Value), probed) {
				values = append(values, string(r.Value))
			}
		})
	}
	return values
}

func (q *quarantineRun) is(when, topic string, want ...string) {
	q.t.Helper()
	if got := q.holds(topic); !slices.Equal(got, want) {
		q.t.Errorf("%s: the topic holds %q, want %q", when, got, want)
	}
}

func (q *quarantineRun) until(what string, ok func(s *api.Status) bool) {
	q.t.Helper()
	for {
		s := q.Status(q.ctx)
		if ok(&s) {
			return
		}
		if q.ctx.Err() != nil {
			q.t.Fatalf("%s: %+v", what, s.Lanes)
		}
		pause(q.t)
	}
}

// kept names what waits in quarantine.
func (q *quarantineRun) kept() (ids []string) {
	for _, b := range q.Quarantine() {
		if b.State == "quarantined" {
			ids = append(ids, b.ID)
		}
	}
	return ids
}

// held changes a topic while its lane is held and records wait.
func (q *quarantineRun) held(topic string, during func()) (took time.Duration) {
	q.t.Helper()
	if err := q.Hold(q.ctx, topic, "the topic changes"); err != nil {
		q.t.Fatal(err)
	}
	during()
	began := time.Now()
	if err := q.Resume(q.ctx, topic); err != nil {
		q.t.Fatal(err)
	}
	q.until(topic+" drained", func(s *api.Status) bool { return s.Records.Backlog == 0 || stoppedAt(s, topic) != nil })
	return time.Since(began)
}

func stoppedAt(s *api.Status, topic string) *api.Stop {
	for i := range s.Lanes {
		if s.Lanes[i].Topic == topic && s.Lanes[i].Stop != nil {
			return s.Lanes[i].Stop
		}
	}
	return nil
}

func (q *quarantineRun) retry(id string) (api.QuarantineDone, error) {
	return q.Retry(q.ctx, api.QuarantineOrder{ID: id, Reason: "the topic is right again"})
}

// TestRealKafkaRefusesForGood: what we had acked and a real Kafka refuses goes into quarantine when it is the batch's
// own fault, and stops its lane when it is a limit's; the rest goes on, in order; set right, all is there once.
func TestRealKafkaRefusesForGood(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	b, err := realkafka.Start(ctx, realkafka.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Kill()
	t.Log("Kafka", realkafka.Version())
	for _, topic := range []string{"keyed", "fresh", "sized", "row", "first"} {
		if err := b.CreateTopic(ctx, topic, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	upstream, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	q := &quarantineRun{t: t, ctx: ctx, kafka: b, admin: kadm.NewClient(upstream), dir: t.TempDir()}
	q.running = start(t, q.dir, b.Addr())
	rec := func(key, value string) *kgo.Record {
		r := &kgo.Record{Value: []byte(value)}
		if key != "" {
			r.Key = []byte(key)
		}
		return r
	}

	// A topic becomes compacted in an outage, and records without a key wait.
	q.send("keyed", rec("", "a"), rec("k", "b"))
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	took := q.held("keyed", func() {
		q.send("keyed", rec("k", "c"), rec("", "d"), rec("k", "e"), rec("", "f"), rec("", "g"), rec("k", "h"))
		if err := b.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		q.refuse("keyed", "cleanup.policy", "compact", kgo.Record{})
	})
	t.Logf("drained %v after the hold, with three batches refused", took)
	if got := q.kept(); !slices.Equal(got, []string{"keyed/0@3", "keyed/0@5", "keyed/0@6"}) || took > 30*time.Second {
		t.Errorf("in quarantine: %v, after %v", got, took)
	}
	q.is("without a key, refused", "keyed", "a", "b", "c", "e", "h")
	for _, a := range q.Quarantine() {
		t.Logf("%s code %d %s", a.ID, a.Code, a.Reason)
		if a.Code != 87 {
			t.Errorf("code %d", a.Code)
		}
	}
	q.stop(t)
	q.running = start(t, q.dir, b.Addr())
	q.until("Kafka is seen again", func(s *api.Status) bool { return s.Target.Breaker == "closed" && s.Target.LookedAt != nil })
	var refused *api.Refused
	q.until("Kafka refuses it again", func(*api.Status) bool {
		_, err := q.retry("keyed/0@3")
		if errors.As(err, &refused) {
			t.Log(err)
			if refused.Status != http.StatusConflict || !strings.Contains(err.Error(), "refuses it again") {
				t.Errorf("retried while Kafka refuses it: %v", err)
			}
			return true
		}
		return false // there is no leader yet, as far as is known
	})
	q.set("keyed", "cleanup.policy", "delete")
	q.until("the settings are seen", func(*api.Status) bool {
		done, err := q.retry("keyed/0@3")
		if err == nil {
			if done.Outcome != "sent" || done.Batch.Offset == nil {
				t.Errorf("%+v", done)
			}
			return true
		}
		t.Log(err)
		return false
	})
	if _, err := q.retry("keyed/0@3"); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("a second time: %v", err)
	}
	if _, err := q.Discard(ctx, api.QuarantineOrder{ID: "keyed/0@6", Reason: "nobody wants it"}); err != nil {
		t.Error(err)
	}
	q.send("keyed", rec("k", "i"))
	q.until("on it goes", func(s *api.Status) bool { return s.Records.Backlog == 0 })
	if done, err := q.retry("keyed/0@5"); err != nil {
		t.Error(err)
	} else {
		t.Logf("%+v", done)
	}
	q.is("set right and sent again", "keyed", "a", "b", "c", "e", "h", "d", "i", "f")

	// A topic begins to refuse old timestamps.
	old := time.Now().Add(-2 * time.Hour)
	q.held("fresh", func() {
		q.send("fresh", &kgo.Record{Value: []byte("old"), Timestamp: old}, rec("", "new"), &kgo.Record{Value: []byte("older"), Timestamp: old.Add(-time.Hour)})
		q.refuse("fresh", "message.timestamp.before.max.ms", "3600000", kgo.Record{Timestamp: old})
	})
	q.until("the lane stops", func(s *api.Status) bool { return stoppedAt(s, "fresh") != nil })
	if got := q.kept(); len(got) > 0 {
		t.Errorf("a limit was lowered, and in quarantine is %v", got)
	}
	q.set("fresh", "message.timestamp.before.max.ms", "9223372036854775807")
	q.until("it goes on by itself", func(s *api.Status) bool { return s.Records.Backlog == 0 })
	q.is("set right", "fresh", "old", "new", "older")

	// A limit is lowered: that is no batch's fault.
	large := strings.Repeat("x", 90_000)
	q.held("sized", func() {
		q.send("sized", rec("", "small"), rec("", large), rec("", "tiny"))
		q.refuse("sized", "max.message.bytes", "50000", kgo.Record{Value: []byte(large)})
	})
	q.until("the lane stops", func(s *api.Status) bool { return stoppedAt(s, "sized") != nil })
	s := q.Status(ctx)
	t.Log(stoppedAt(&s, "sized").Reason)
	if got := q.kept(); len(got) > 0 {
		t.Errorf("a limit was lowered, and in quarantine is %v", got)
	}
	q.is("limit lowered", "sized", "small")
	q.set("sized", "max.message.bytes", "1048588")
	q.until("it goes on by itself", func(s *api.Status) bool { return s.Records.Backlog == 0 })
	q.is("limit raised", "sized", "small", large, "tiny")

	// All of a topic's records are refused: after two the lane stops.
	q.held("row", func() {
		q.send("row", rec("", "1"), rec("", "2"), rec("", "3"), rec("", "4"))
		q.refuse("row", "cleanup.policy", "compact", kgo.Record{})
	})
	q.until("the third stops the lane", func(s *api.Status) bool { return stoppedAt(s, "row") != nil })
	s = q.Status(ctx)
	t.Log(stoppedAt(&s, "row").Reason)
	if got := q.kept(); !slices.Equal(got, []string{"row/0@0", "row/0@1"}) {
		t.Errorf("in quarantine: %v", got)
	}
	q.set("row", "cleanup.policy", "delete")
	if err := q.Resume(ctx, "row"); err != nil {
		t.Fatal(err)
	}
	q.until("resumed", func(s *api.Status) bool { return s.Records.Backlog == 0 && stoppedAt(s, "row") == nil })
	for _, id := range q.kept() {
		q.until("retry of "+id, func(*api.Status) bool { _, err := q.retry(id); return err == nil })
	}
	q.is("set right", "row", "3", "4", "1", "2")
	q.stop(t)
	if left := fmt.Sprint(q.kept()); left != "[]" {
		t.Errorf("left in quarantine: %s", left)
	}
}
