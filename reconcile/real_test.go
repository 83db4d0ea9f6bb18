//go:build real

package reconcile_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/test/realkafka"
	"github.com/streamdown/streamdown/wal"
)

// genuine is a log on the real disk, its ledger, and a real Kafka that it is sent to by hand.
type genuine struct {
	*twin  // for its batches and its log; its target is not used
	topics *reconcile.KafkaTopics
}

func (w *genuine) bindReal(tp streamdown.TopicPartition, base streamdown.Ordinal) {
	w.t.Helper()
	pin, err := w.topics.Pin(w.t.Context(), tp)
	if err != nil {
		w.t.Fatal(err)
	}
	id, err := w.topics.NewProducerID(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	w.append(delivery.BindingEntry(delivery.Binding{Lane: w.lane(tp), Cluster: pin.Cluster, Topic: pin.Topic, PID: id, Base: base, End: pin.End}))
}

// sendAs sends raw in place of an item.
func (w *genuine) sendAs(it item, raw []byte) {
	w.t.Helper()
	b := w.book.Lane(w.lane(it.tp)).Binding
	p := sink.Parcel{TopicPartition: it.tp, TopicID: b.Topic, Payload: raw[batch.HeaderSize:]}
	batch.Restamp(&p.Header, raw, batch.Stamp{ProducerID: b.PID, Epoch: b.Epoch, BaseSequence: b.Sequence(it.ordinal)})
	a, err := w.topics.Send(w.t.Context(), p)
	if err != nil || a.Class != sink.OK {
		w.t.Fatalf("%s: %+v %v", it.tp, a, err)
	}
	w.book.Confirm(w.lane(it.tp), it.ordinal+streamdown.Ordinal(it.count), a.Base+streamdown.Offset(it.count))
}

// report compares one topic.
func (w *genuine) report(topic string, found func(reconcile.Range)) *reconcile.Report {
	w.t.Helper()
	if e := w.book.ProgressEntry(w.log.Durable()); e != nil {
		w.append(e)
	}
	rows := w.ledger()
	r, err := wal.OpenReader(w.fs, "/d")
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	rep, err := reconcile.Run(w.t.Context(), reconcile.Config{
		Log: r, Ledger: rows, Topic: w.topics, Found: found, Window: 7, Only: func(tp streamdown.TopicPartition) bool { return tp.Topic == topic },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return rep
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// TestARealKafkaIsToldApart: what a real broker does to batches, and what was done to it, is found as what it is, while the log
// has the payload and from the ledger alone.
func TestARealKafkaIsToldApart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	b, err := realkafka.Start(ctx, realkafka.Options{Dir: t.TempDir(), Properties: map[string]string{"log.cleaner.backoff.ms": "300", "log.retention.check.interval.ms": "500"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Kill() }()
	t.Log("Kafka", realkafka.Version())
	client, err := kafka.New(kafka.Config{Bootstrap: []string{b.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	for name, config := range map[string]map[string]string{
		"plain": nil, "zstd": {"compression.type": "zstd"}, "uncompressed": {"compression.type": "uncompressed"}, "stamped": {"message.timestamp.type": "LogAppendTime"},
		"both": {"message.timestamp.type": "LogAppendTime", "compression.type": "gzip"}, "trimmed": nil, "altered": nil, "absent": nil, "tail": nil, "anew": nil,
		"compacted": {"cleanup.policy": "compact", "segment.ms": "200", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "500"},
	} {
		if err := b.CreateTopic(ctx, name, 1, config); err != nil {
			t.Fatal(err)
		}
	}
	for _, sums := range []bool{false, true} {
		w := &genuine{twin: newTwin(t, 4000), topics: reconcile.NewKafkaTopics(client)}
		w.sums = sums
		items := map[string][]item{}
		for _, topic := range []string{"plain", "zstd", "uncompressed", "stamped", "both", "trimmed", "altered", "absent", "tail", "anew", "compacted"} {
			tp := streamdown.TopicPartition{Topic: topic}
			w.bindReal(tp, 0)
			for i := range 10 {
				it := item{tp: tp, count: 3}
				if topic != "compacted" {
					it = w.accept(tp, 3, batch.Codec(i%5))
				} else { // one key for all
					for j := range 3 {
						w.b.Append(time.Now().UnixMilli(), []byte("key"), []byte{byte(i), byte(j)})
					}
					raw, err := w.b.Build(batch.None, batch.NoStamp)
					if err != nil {
						t.Fatal(err)
					}
					it.raw = slices.Clone(raw)
					it.ordinal = w.next[w.lane(tp)]
					w.append(&wal.Entry{Kind: wal.KindBatch, Lane: w.lane(tp), Ordinal: it.ordinal, Count: 3, Body: it.raw})
					w.next[w.lane(tp)] += 3
				}
				items[topic] = append(items[topic], it)
				switch {
				case topic == "altered" && i == 5: // under our id, with our sequences
					w.sendAs(it, w.build(3))
				case topic == "absent" && i == 4: // never sent; what follows goes out under another id
					w.bindReal(tp, it.ordinal+3)
				case topic == "tail" && i > 7: // confirmed and not there
					w.book.Confirm(w.lane(tp), it.ordinal+3, streamdown.NoOffset)
				default:
					w.sendAs(it, it.raw)
				}
			}
		}
		pin, err := w.topics.Pin(ctx, streamdown.TopicPartition{Topic: "trimmed"})
		if err != nil {
			t.Fatal(err)
		}
		var upTo kadm.Offsets
		upTo.AddOffset("trimmed", 0, int64(pin.End)-21, -1)
		if _, err := admin.DeleteRecords(ctx, upTo); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.DeleteTopics(ctx, "anew"); err != nil {
			t.Fatal(err)
		}
		for b.CreateTopic(ctx, "anew", 1, nil) != nil && ctx.Err() == nil { // deleting takes a moment
			wait(ctx, 100*time.Millisecond)
		}
		w.topics = reconcile.NewKafkaTopics(client)
		type want struct {
			v       reconcile.Verdict
			why     reconcile.Reason
			from    streamdown.Ordinal
			records int64
			exit    int
		}
		check := func(topic, when string, x want) {
			t.Helper()
			r := w.report(topic, nil)
			got := r.Total.Of(x.v).Records
			if r.Exit() != x.exit || got != x.records || x.why != "" && (len(r.Worst) == 0 || r.Worst[0].Reason != x.why) ||
				x.v != reconcile.Identical && (len(r.Worst) == 0 || r.Worst[0].Verdict != x.v || r.Worst[0].From != x.from) {
				t.Errorf("%s, %s, digests %v: want %d %s: %s", topic, when, sums, x.records, x.v, r)
			}
		}
		w.t = t
		both := func(when string) {
			check("plain", when, want{v: reconcile.Identical, records: 30})
			check("stamped", when, want{v: reconcile.Identical, records: 30})
			check("trimmed", when, want{reconcile.NotComparable, reconcile.Trimmed, 0, 9, 0})
			check("absent", when, want{reconcile.Absent, "", 12, 3, 4})
			check("tail", when, want{reconcile.Absent, "", 24, 6, 4})
			check("anew", when, want{reconcile.NotComparable, reconcile.OtherTopic, 0, 30, 6})
		}
		both("kept")
		check("altered", "kept", want{reconcile.Altered, "", 15, 3, 4})
		check("zstd", "kept", want{reconcile.Rewritten, "", 0, 24, 0})         // what came as zstd is as it was
		check("uncompressed", "kept", want{reconcile.Rewritten, "", 3, 24, 0}) // what came uncompressed too
		check("both", "kept", want{reconcile.Rewritten, "", 6, 24, 0})
		if sums {
			for cleaned := false; !cleaned; {
				if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "compacted", Key: []byte("another"), Value: []byte("rolls the segment")}).FirstErr(); err != nil {
					t.Fatal(err)
				}
				r := w.report("compacted", nil)
				if r.Exit() != 0 && r.Exit() != 6 || r.Total.Absent.Records > 0 {
					t.Fatal(r)
				}
				cleaned = r.Total.NotComparable.Records >= 20 && r.Worst[0].Reason == reconcile.Compacted
				wait(ctx, 300*time.Millisecond)
			}
			m := &reconcile.Repair{Log: w.log, Target: w.topics}
			var absent []reconcile.Range
			w.report("absent", func(x reconcile.Range) { absent = append(absent, x) })
			if m.Read, err = wal.OpenReader(w.fs, "/d"); err != nil {
				t.Fatal(err)
			}
			if err := m.Plan(ctx, absent, nil); err != nil {
				t.Fatal(err)
			}
			if err := m.Run(ctx); err != nil {
				t.Fatal(err)
			}
			m.Read.Close()
			check("absent", "repaired", want{reconcile.Late, "", 12, 3, 0})
			continue
		}
		w.release()
		both("released")
		if sums {
			check("zstd", "released", want{reconcile.Rewritten, "", 0, 24, 0})
			check("altered", "released", want{reconcile.Altered, "", 15, 3, 4})
		} else {
			check("zstd", "released", want{reconcile.NotComparable, reconcile.NoDigest, 0, 24, 3})
		}
	}
}
