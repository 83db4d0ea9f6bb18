package kafka

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/sink"
)

// These tests run against kfake, an embedded broker; real_test.go asks the same of a real one.

func TestLookShowsTheClusterWithoutCreating(t *testing.T) {
	_, c := embedded(t, kfake.NumBrokers(3), kfake.ClusterID("embedded"), kfake.AllowAutoTopicCreation())
	ctx := within(t, 2*time.Minute)
	for range 3 { // asking for it makes it no more likely to be
		cl, err := c.Look(ctx, []string{"orders", "nowhere"})
		if err != nil {
			t.Fatal(err)
		}
		if cl.ID != "embedded" || len(cl.Brokers) != 3 || cl.At.IsZero() {
			t.Errorf("cluster %q with %d brokers at %v", cl.ID, len(cl.Brokers), cl.At)
		}
		o := cl.Topics["orders"]
		if o == nil || o.ID.IsZero() || len(o.Partitions) != 3 || o.Err != 0 {
			t.Fatalf("orders: %+v", o)
		}
		for i, p := range o.Partitions {
			if p.Leader < 0 || p.LeaderEpoch < 0 || p.Replicas == 0 || p.InSync == 0 || p.Err != 0 {
				t.Errorf("orders/%d: %+v", i, p)
			}
		}
		if n := cl.Topics["nowhere"]; n == nil || n.Err != codeUnknownTopicOrPartition || len(n.Partitions) != 0 {
			t.Errorf("a topic that does not exist: %+v", n)
		}
	}
	all, err := c.Look(ctx, nil)
	if err != nil || len(all.Topics) != 2 {
		t.Errorf("all topics: %d, %v", len(all.Topics), err)
	}
	none, err := c.Look(ctx, []string{})
	if err != nil || len(none.Topics) != 0 || len(none.Brokers) != 3 {
		t.Errorf("no topics: %d, %v", len(none.Topics), err)
	}
}

func TestCreatePassesAutoCreationOn(t *testing.T) {
	_, c := embedded(t, kfake.AllowAutoTopicCreation())
	ctx := within(t, 2*time.Minute)
	if err := c.Create(ctx, "fresh"); err != nil {
		t.Fatal(err)
	}
	if cl, err := c.Look(ctx, []string{"fresh"}); err != nil || cl.Topics["fresh"].Err != 0 {
		t.Errorf("after creation: %+v, %v", cl, err)
	}
	_, strict := embedded(t)
	err := strict.Create(ctx, "fresh")
	var refusal *ReplyError
	if !errors.As(err, &refusal) || refusal.Code != codeUnknownTopicOrPartition {
		t.Errorf("creation where it is off: %v", err)
	}
}

func TestSettingsAreReadOrSaidToBeUnknown(t *testing.T) {
	fake, c := embedded(t, kfake.BrokerConfigs(map[string]string{"producer.id.expiration.ms": "7200000"}))
	ctx := within(t, 2*time.Minute)
	cfgs, err := c.LookConfigs(ctx, []string{"orders", "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	if got := cfgs.Topics["orders"]; !got.Known || got.MaxMessageBytes < 1<<20 || got.Compacted || got.Retention == 0 || got.MinInSync < 1 {
		t.Errorf("orders: %+v", got)
	}
	if got := cfgs.Topics["nowhere"]; got.Known || got.MaxMessageBytes != 1048588 {
		t.Errorf("a topic that cannot be read: %+v", got)
	}
	cl, err := c.Look(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfgs.Apply(cl)
	if !cl.Topics["orders"].Config.Known || cl.Topics["audit"].Config.Known || cl.ProducerExpiry != cfgs.ProducerExpiry {
		t.Errorf("applied: %+v %+v", cl.Topics["orders"].Config, cl.Topics["audit"].Config)
	}

	fake.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, r := range req.(*kmsg.DescribeConfigsRequest).Resources {
			rr := kmsg.NewDescribeConfigsResponseResource()
			rr.ResourceName, rr.ResourceType, rr.ErrorCode = r.ResourceName, r.ResourceType, 29
			resp.Resources = append(resp.Resources, rr)
		}
		return resp, nil, true
	})
	cfgs, err = c.LookConfigs(ctx, []string{"orders"})
	if err != nil || cfgs.Topics["orders"].Known || cfgs.ProducerExpiry != 0 {
		t.Errorf("without rights: %+v, %v", cfgs, err)
	}
}

func TestTopicSettingsMeanWhatKafkaMeans(t *testing.T) {
	const never = "9223372036854775807"
	for _, tt := range []struct {
		name          string
		set           map[string]string
		before, after time.Duration
		retention     time.Duration
	}{
		{"4.x defaults", map[string]string{timestampBefore: never, timestampAfter: "3600000", retention: "604800000"}, 0, time.Hour, 168 * time.Hour},
		{"before 3.6", map[string]string{timestampEither: "60000", retention: "-1"}, time.Minute, time.Minute, 0},
		{"before 3.6, unlimited", map[string]string{timestampEither: never, retention: "1"}, 0, 0, time.Millisecond},
		{"3.9 with both", map[string]string{timestampBefore: "1000", timestampAfter: never, timestampEither: "60000"}, time.Second, time.Minute, 7 * 24 * time.Hour},
		{"nothing old at all", map[string]string{timestampBefore: "0", timestampAfter: "x", retention: "0"}, time.Millisecond, 0, time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := kmsg.NewDescribeConfigsResponseResource()
			for k, v := range tt.set {
				e := kmsg.NewDescribeConfigsResponseResourceConfig()
				e.Name, e.Value = k, &v
				r.Configs = append(r.Configs, e)
			}
			got := topicConfig(&r)
			if !got.Known || got.BeforeMax != tt.before || got.AfterMax != tt.after || got.Retention != tt.retention {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestProducerIDsDiffer(t *testing.T) {
	_, c := embedded(t)
	ctx := within(t, 2*time.Minute)
	a, epoch, err := c.NewProducerID(ctx)
	if err != nil || a < 0 || epoch != 0 {
		t.Fatalf("%d/%d, %v", a, epoch, err)
	}
	if b, _, err := c.NewProducerID(ctx); err != nil || a == b {
		t.Errorf("twice producer id %d, %v", a, err)
	}
}

// kfake lists transactional producers only, so this shows that an answer without our id is "not known" and no more.
func TestAskDoesNotInventState(t *testing.T) {
	_, c := embedded(t)
	ctx := within(t, 2*time.Minute)
	held, err := c.Ask(ctx, 0, orders, 77)
	if err != nil || held.Known {
		t.Errorf("unknown producer: %+v, %v", held, err)
	}
	_, err = c.Ask(ctx, 0, streamdown.TopicPartition{Topic: "orders", Partition: 99}, 77)
	if ClassOf(err) != sink.Moved {
		t.Errorf("partition that does not exist: class %v, %v", ClassOf(err), err)
	}
	_, err = c.Ask(ctx, 42, orders, 77)
	if ClassOf(err) != sink.Moved {
		t.Errorf("node that does not exist: class %v, %v", ClassOf(err), err)
	}
}

func TestParcelsComeBackAsWalked(t *testing.T) {
	_, c := embedded(t)
	ctx := within(t, 2*time.Minute)
	cl, err := c.Look(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := cl.Topics["orders"].ID
	// kfake wants a first sequence of 0 on a partition that never held records.
	sent := []sink.Parcel{
		parcelOf(t, streamdown.TopicPartition{Topic: "orders", Partition: 2}, id, 7, 0, 0, 3),
		parcelOf(t, streamdown.TopicPartition{Topic: "audit", Partition: 0}, cl.Topics["audit"].ID, 7, 0, 0, 2),
		parcelOf(t, streamdown.TopicPartition{Topic: "orders", Partition: 0}, id, 7, 0, 0, 1),
	}
	for _, named := range []bool{false, true} { // v13 by id; v12 by name, a duplicate that must get the first's offset
		if named {
			for i := range sent {
				sent[i].TopicID = streamdown.ID{}
			}
		}
		for i, a := range deliver(t, c, 0, sent...) {
			if a.Class != sink.OK || a.Base != 0 {
				t.Errorf("by name %v, parcel %d: %+v", named, i, a)
			}
		}
	}
	more := parcelOf(t, sent[0].TopicPartition, id, 7, 0, 3, 4)
	if a := deliver(t, c, 0, more); a[0].Class != sink.OK || a[0].Base != 3 {
		t.Errorf("next batch: %+v", a)
	}

	var got []byte
	start, err := c.Walk(ctx, 0, sent[0].TopicPartition, id, 1, 7, func(base streamdown.Offset, raw []byte) error {
		if err := batch.Verify(raw); err != nil {
			t.Error(err)
		}
		got = append(got, raw[batch.HeaderSize:]...)
		return nil
	})
	if err != nil || start != 0 {
		t.Fatal(start, err)
	}
	if want := slices.Concat(sent[0].Payload, more.Payload); !slices.Equal(got, want) {
		t.Errorf("walked %d bytes of payload, want %d", len(got), len(want))
	}
	if start, end, err := c.EndOffset(ctx, 0, sent[0].TopicPartition); err != nil || start != 0 || end != 7 {
		t.Errorf("ends: %d to %d, %v", start, end, err)
	}
}

func TestScanFindsOursAndOnlyOurs(t *testing.T) {
	_, c := embedded(t)
	ctx := within(t, 2*time.Minute)
	cl, err := c.Look(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, topic, _ := cl.Partition(orders)
	var want []sink.Trace
	base := streamdown.Offset(0)
	for i := range 6 {
		pid := int64(7 + i%2)
		q := parcelOf(t, orders, topic.ID, pid, 2, int32(i/2*5), 5)
		if a := deliver(t, c, 0, q); a[0].Class != sink.OK {
			t.Fatalf("batch %d: %+v", i, a)
		}
		if pid == 7 {
			want = append(want, sink.Trace{Base: base, Epoch: 2, Sequence: int32(i / 2 * 5), Count: 5, PayloadCRC: batch.PayloadCRC(q.Header[:])})
		}
		base += 5
	}
	for _, epoch := range []int32{p.LeaderEpoch, -1} {
		got, err := c.Scan(ctx, 0, ScanRequest{orders, topic.ID, epoch, 0, 7})
		if err != nil || got.End != 30 || got.LogStart != 0 || !slices.Equal(got.Batches, want) {
			t.Errorf("epoch %d: %+v, %v", epoch, got, err)
		}
	}
	got, err := c.Scan(ctx, 0, ScanRequest{orders, topic.ID, p.LeaderEpoch, 12, 7})
	if err != nil || !slices.Equal(got.Batches, want[1:]) {
		t.Errorf("from inside the batch at 10: %+v, %v", got, err)
	}
	got, err = c.Scan(ctx, 0, ScanRequest{orders, topic.ID, p.LeaderEpoch, 1000, 7})
	if err != nil || got.End != 30 || len(got.Batches) != 0 || got.LogStart != 0 {
		t.Errorf("from beyond the end: %+v, %v", got, err)
	}
}

func TestScanRefusesAnotherLeaderAndAnotherTopic(t *testing.T) {
	fake, c := embedded(t, kfake.NumBrokers(2))
	ctx := within(t, 2*time.Minute)
	if err := fake.MoveTopicPartition("orders", orders.Partition, 0); err != nil {
		t.Fatal(err)
	}
	cl, err := c.Look(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, topic, _ := cl.Partition(orders)
	if _, err := c.Scan(ctx, 0, ScanRequest{orders, streamdown.ID{1}, p.LeaderEpoch, 0, 7}); ClassOf(err) != sink.Moved {
		t.Errorf("other topic, nothing to read: class %v, %v", ClassOf(err), err)
	}
	if a := deliver(t, c, 0, parcelOf(t, orders, topic.ID, 7, 0, 0, 5)); a[0].Class != sink.OK {
		t.Fatal(a)
	}
	for name, req := range map[string]ScanRequest{
		"older epoch": {orders, topic.ID, p.LeaderEpoch - 1, 0, 7},
		"newer epoch": {orders, topic.ID, p.LeaderEpoch + 1, 0, 7},
		"other topic": {orders, streamdown.ID{1}, p.LeaderEpoch, 0, 7},
	} {
		if _, err := c.Scan(ctx, 0, req); ClassOf(err) != sink.Moved {
			t.Errorf("%s: class %v, %v", name, ClassOf(err), err)
		}
	}
	if err := fake.MoveTopicPartition("orders", orders.Partition, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Scan(ctx, 0, ScanRequest{orders, topic.ID, p.LeaderEpoch, 0, 7}); ClassOf(err) != sink.Moved {
		t.Errorf("old leader: class %v, %v", ClassOf(err), err)
	}
	if a := deliver(t, c, 0, parcelOf(t, orders, topic.ID, 7, 0, 5, 5)); a[0].Class != sink.Moved {
		t.Errorf("produce at the old leader: %+v", a)
	}
}

func TestScanStartsWhereTheLogStarts(t *testing.T) {
	_, c := embedded(t)
	ctx := within(t, 2*time.Minute)
	for i := range 3 {
		deliver(t, c, 0, parcelOf(t, orders, streamdown.ID{}, 7, 0, int32(i*5), 5))
	}
	cut := func(to int64) {
		t.Helper()
		req := kmsg.NewPtrDeleteRecordsRequest()
		rt := kmsg.NewDeleteRecordsRequestTopic()
		rt.Topic = orders.Topic
		rp := kmsg.NewDeleteRecordsRequestTopicPartition()
		rp.Partition, rp.Offset = orders.Partition, to
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		cn, err := c.at(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ask[*kmsg.DeleteRecordsResponse](ctx, cn, req, 0, 2); err != nil {
			t.Fatal(err)
		}
	}
	cut(10)
	got, err := c.Scan(ctx, 0, ScanRequest{orders, streamdown.ID{}, -1, 0, 7})
	if err != nil || got.LogStart != 10 || got.End != 15 || len(got.Batches) != 1 {
		t.Errorf("after a cut to 10: %+v, %v", got, err)
	}
	cut(15)
	got, err = c.Scan(ctx, 0, ScanRequest{orders, streamdown.ID{}, -1, 0, 7})
	if err != nil || got.LogStart != 15 || got.End != 15 || len(got.Batches) != 0 {
		t.Errorf("after a cut to the end: %+v, %v", got, err)
	}
}

// emptied makes a cluster's leaders show nothing, with a high watermark of their choice, for some fetches.
func emptied(fake *kfake.Cluster, times int, high int64, throttle int32) {
	fake.ControlKey(int16(kmsg.Fetch), func(k kmsg.Request) (kmsg.Response, error, bool) {
		if times--; times < 0 {
			return nil, nil, false
		}
		fake.KeepControl()
		req, resp := k.(*kmsg.FetchRequest), k.ResponseKind().(*kmsg.FetchResponse)
		resp.ThrottleMillis = throttle
		if throttle > 0 {
			return resp, nil, true
		}
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID = req.Topics[0].Topic, req.Topics[0].TopicID
		rp := kmsg.NewFetchResponseTopicPartition()
		rp.Partition, rp.HighWatermark, rp.LogStartOffset = req.Topics[0].Partitions[0].Partition, high, 0
		rt.Partitions = append(rt.Partitions, rp)
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
}

func TestScanWaitsForTheHighWatermark(t *testing.T) {
	fake, c := embedded(t)
	ctx := within(t, 2*time.Minute)
	p, topic, _ := mustLook(t, c).Partition(orders)
	deliver(t, c, 0, parcelOf(t, orders, topic.ID, 7, 0, 0, 5))
	req := ScanRequest{orders, topic.ID, p.LeaderEpoch, 0, 7}
	for name, f := range map[string]func(){
		"below the end at first":     func() { emptied(fake, 5, 0, 0) },
		"over a quota at first":      func() { emptied(fake, 2, 0, 10) },
		"late to show what is there": func() { emptied(fake, emptyTries-1, 5, 0) },
	} {
		f()
		if got, err := c.Scan(ctx, 0, req); err != nil || got.End != 5 || len(got.Batches) != 1 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// What never comes is not absent.
	emptied(fake, 1<<30, 0, 0)
	impatient, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if got, err := c.Scan(impatient, 0, req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a high watermark that does not rise: %+v, %v", got, err)
	}
	fake.DropControl()
}

func TestNothingBelowTheHighWatermarkIsNoProofOfAbsence(t *testing.T) {
	fake, c := embedded(t)
	p, topic, _ := mustLook(t, c).Partition(orders)
	deliver(t, c, 0, parcelOf(t, orders, topic.ID, 7, 0, 0, 5))
	emptied(fake, 1<<30, 5, 0)
	got, err := c.Scan(within(t, 2*time.Minute), 0, ScanRequest{orders, topic.ID, p.LeaderEpoch, 0, 7})
	var gap *GapError
	if !errors.As(err, &gap) || gap.From != 0 || gap.To != 5 || ClassOf(err) != sink.Doubt {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEpochEndsTellWhatAnEpochLeft(t *testing.T) {
	fake, c := embedded(t, kfake.NumBrokers(2))
	ctx := within(t, 2*time.Minute)
	if err := fake.MoveTopicPartition("orders", orders.Partition, 0); err != nil {
		t.Fatal(err)
	}
	before, topic, _ := mustLook(t, c).Partition(orders)
	deliver(t, c, 0, parcelOf(t, orders, topic.ID, 7, 0, 0, 5))
	if err := fake.MoveTopicPartition("orders", orders.Partition, 1); err != nil {
		t.Fatal(err)
	}
	after, _, _ := mustLook(t, c).Partition(orders)
	deliver(t, c, 1, parcelOf(t, orders, topic.ID, 7, 0, 5, 5))
	for _, tt := range []struct {
		epoch int32
		end   streamdown.Offset
	}{{before.LeaderEpoch, 5}, {after.LeaderEpoch, 10}} {
		if e, end, err := c.EpochEnd(ctx, 1, orders, after.LeaderEpoch, tt.epoch); err != nil || e != tt.epoch || end != tt.end {
			t.Errorf("epoch %d: %d ends at %d, %v", tt.epoch, e, end, err)
		}
	}
	if _, _, err := c.EpochEnd(ctx, 1, orders, before.LeaderEpoch, before.LeaderEpoch); ClassOf(err) != sink.Moved {
		t.Errorf("asked with an old epoch: %v", err)
	}
}

func mustLook(t *testing.T, c *Client) *catalog.Cluster {
	t.Helper()
	cl, err := c.Look(within(t, 2*time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// An older cluster speaks fewer versions; what it cannot do must be said, not guessed.
func TestOlderClustersGetWhatTheyUnderstand(t *testing.T) {
	_, c := embedded(t, kfake.MaxVersions(kversion.V2_7_0()))
	ctx := within(t, 2*time.Minute)
	if a := deliver(t, c, 0, parcelOf(t, orders, streamdown.ID{1}, 7, 0, 0, 5)); a[0].Class != sink.OK {
		t.Errorf("produce: %+v", a)
	}
	if got, err := c.Scan(ctx, 0, ScanRequest{orders, streamdown.ID{}, -1, 0, 7}); err != nil || len(got.Batches) != 1 {
		t.Errorf("scan: %+v, %v", got, err)
	}
	_, err := c.Ask(ctx, 0, orders, 7)
	var old *UnsupportedError
	if !errors.As(err, &old) || ClassOf(err) != sink.Forbidden {
		t.Errorf("ask: %v", err)
	}
}

func TestOneAdminConnectionPerBroker(t *testing.T) {
	_, c := embedded(t, kfake.NumBrokers(2))
	ctx := within(t, 2*time.Minute)
	errs := make(chan error)
	for i := range 40 {
		go func() {
			_, err := c.Look(ctx, nil)
			if err == nil {
				_, _, err = c.EndOffset(ctx, int32(i%2), orders)
				if ClassOf(err) == sink.Moved {
					err = nil
				}
			}
			errs <- err
		}()
	}
	for range 40 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.conns) > 2 {
		t.Errorf("%d connections to 2 brokers", len(c.conns))
	}
}

func TestCloseEndsQuestionsUnderWay(t *testing.T) {
	fake, c := embedded(t)
	ctx := within(t, 2*time.Minute)
	if _, err := c.Look(ctx, nil); err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	release := make(chan struct{})
	fake.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(asked)
		fake.SleepControl(func() { <-release })
		return nil, nil, false
	})
	got := make(chan error)
	go func() {
		_, _, err := c.NewProducerID(ctx)
		got <- err
	}()
	<-asked
	c.Close()
	if err := <-got; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	close(release)
	if _, err := c.Look(ctx, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := c.Probe(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("probe after Close: %v", err)
	}
}

func TestQuestionsSurviveARestartOfTheBroker(t *testing.T) {
	fake, c := embedded(t, kfake.NumBrokers(1))
	ctx := within(t, 2*time.Minute)
	if _, err := c.Look(ctx, nil); err != nil {
		t.Fatal(err)
	}
	// The connection breaks in the middle of a question: that one fails, the next one dials anew.
	fake.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, errors.New("break"), true
	})
	if _, _, err := c.NewProducerID(ctx); !Reset(err) {
		t.Errorf("broken connection: %v", err)
	}
	if _, _, err := c.NewProducerID(ctx); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestImpatientCallerLeavesTheConnectionToOthers(t *testing.T) {
	fake, c := embedded(t)
	ctx := within(t, 2*time.Minute)
	if _, err := c.Look(ctx, nil); err != nil {
		t.Fatal(err)
	}
	asked, release := make(chan struct{}), make(chan struct{})
	fake.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(asked)
		fake.SleepControl(func() { <-release })
		return nil, nil, false
	})
	impatient, cancel := context.WithCancel(ctx)
	got := make(chan error)
	go func() {
		_, _, err := c.NewProducerID(impatient)
		got <- err
	}()
	<-asked
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	if _, err := c.Look(ctx, nil); err != nil {
		t.Errorf("the next question: %v", err)
	}
}
