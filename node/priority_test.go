package node_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/streamdown/streamdown/api"
)

// TestAPriorityMovesItsProducersWithoutLoss: the priority of a topic that is written to changes with a reload, up, then down
// to a class that has no port. Its producer is moved by NOT_LEADER, and each record is at the target once, in order.
func TestAPriorityMovesItsProducersWithoutLoss(t *testing.T) {
	c := cluster(t, t.TempDir())
	defer c.Close()
	p := newPlan(t, c.ListenAddrs()[0])
	streams := func(priority string) string {
		return `[{ name: first, topics: [orders], priority: critical }, { name: moved, topics: [clicks], priority: ` + priority + ` }, { name: rest, topics: ["*"] }]`
	}
	p.streams = streams("normal")
	r := p.run(t)
	defer r.stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(r.KafkaAddr()), kgo.SASL(scram.Auth{User: "web", Pass: marker}.AsSha512Mechanism()), kgo.DefaultProduceTopic("clicks"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.MetadataMinAge(50*time.Millisecond), kgo.AllowAutoTopicCreation(),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	sent := 0
	send := func(n int) {
		t.Helper()
		for range n {
			if err := cl.ProduceSync(ctx, &kgo.Record{Value: []byte(strconv.Itoa(sent))}).FirstErr(); err != nil {
				t.Fatalf("record %d: %v", sent, err)
			}
			sent++
		}
	}
	send(20)
	for _, step := range []struct {
		priority string
		node     int32 // that leads the topic then
	}{{"critical", 1}, {"low", 3}, {"normal", 3}} {
		p.streams = streams(step.priority)
		p.write(t)
		status, done, findings := r.post(t, "")
		if status != http.StatusOK {
			t.Fatalf("%s: %d %v", step.priority, status, findings)
		}
		if step.priority != "normal" && !slices.Contains(keys(done.Applied), "streams[moved].priority") {
			t.Errorf("%s: applied %v", step.priority, keys(done.Applied))
		}
		send(20)
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr("clicks")
		ask := kmsg.NewPtrMetadataRequest()
		ask.Topics = append(ask.Topics, topic)
		md, err := ask.RequestWith(ctx, cl)
		if err != nil {
			t.Fatal(err)
		}
		if leader := md.Topics[0].Partitions[0].Leader; leader != step.node {
			t.Errorf("%s: its broker is %d, want %d", step.priority, leader, step.node)
		}
	}
	var s api.Status
	if err := json.Unmarshal([]byte(r.page(t, "/v1/status")), &s); err != nil {
		t.Fatal(err)
	}
	// Up, and down again: the last step shares the port of the one before.
	if n := s.Gateway.Refusals["NOT_LEADER_FOR_PARTITION"]; n == 0 {
		t.Errorf("nobody was moved: refusals %v", s.Gateway.Refusals)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"clicks": {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for want := 0; want < sent; {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", want, sent, err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			if string(rec.Value) != strconv.Itoa(want) {
				t.Fatalf("record %d is %q", want, rec.Value)
			}
			want++
		})
	}
}
