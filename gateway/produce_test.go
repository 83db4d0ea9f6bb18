package gateway

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/ingest"
	"github.com/streamdown/streamdown/test/budget"
)

func TestProduceIsReadAsKmsgReadsIt(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var r produceRequest
	for range 2000 {
		want := randomProduce(rng)
		if err := r.parse(want.Version, want.AppendTo(nil)); err != nil {
			t.Fatalf("v%d: %v", want.Version, err)
		}
		sameProduce(t, &r, want)
	}
}

func randomProduce(rng *rand.Rand) *kmsg.ProduceRequest {
	r := kmsg.NewPtrProduceRequest()
	r.Version = int16(rng.IntN(produceMax + 1))
	r.Acks = int16(rng.IntN(4) - 2)
	if r.Version >= 3 && rng.IntN(4) == 0 {
		r.TransactionID = kmsg.StringPtr("t")
	}
	for range rng.IntN(4) {
		t := kmsg.NewProduceRequestTopic()
		if r.Version >= produceTopicID {
			t.TopicID = randomID(rng)
		} else {
			t.Topic = string(bytes.Repeat([]byte("n"), rng.IntN(300)))
		}
		for range rng.IntN(5) {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition = rng.Int32()
			if n := rng.IntN(400) - 1; n >= 0 {
				p.Records = make([]byte, n)
			}
			if r.Version >= produceFlexible && rng.IntN(3) == 0 {
				p.UnknownTags.Set(uint32(rng.IntN(1000)), make([]byte, rng.IntN(200)))
			}
			t.Partitions = append(t.Partitions, p)
		}
		r.Topics = append(r.Topics, t)
	}
	return r
}

func randomID(rng *rand.Rand) (id [16]byte) {
	for i := range id {
		id[i] = byte(rng.Uint32())
	}
	return id
}

func sameProduce(t testing.TB, got *produceRequest, want *kmsg.ProduceRequest) {
	t.Helper()
	if got.acks != want.Acks || got.transactional != (want.TransactionID != nil) || len(got.topics) != len(want.Topics) {
		t.Fatalf("v%d: acks %d, transactional %t, %d topics, want %+v", want.Version, got.acks, got.transactional, len(got.topics), want)
	}
	i := 0
	for j, topic := range want.Topics {
		if string(got.topics[j].name) != topic.Topic || got.topics[j].id != topic.TopicID || got.topics[j].parts != len(topic.Partitions) {
			t.Fatalf("v%d: topic %d is %q with %d partitions, want %+v", want.Version, j, got.topics[j].name, got.topics[j].parts, topic)
		}
		for _, p := range topic.Partitions {
			g := got.parts[i]
			if g.index != p.Partition || !bytes.Equal(g.records, p.Records) || (g.records == nil) != (p.Records == nil) {
				t.Fatalf("v%d: partition %+v, want %+v", want.Version, g, p)
			}
			i++
		}
	}
	if i != len(got.parts) {
		t.Fatalf("v%d: %d partitions, want %d", want.Version, len(got.parts), i)
	}
}

func TestProduceAnswersAreReadByKmsg(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		version := int16(rng.IntN(produceMax + 1))
		want := kmsg.NewPtrProduceResponse()
		want.Version = version
		a := newProduceAnswer(header{Version: version, CorrelationID: 77}, -1, time.Time{})
		i := 0
		for range rng.IntN(4) {
			wt := kmsg.NewProduceResponseTopic()
			if version >= produceTopicID {
				wt.TopicID = randomID(rng)
			} else {
				wt.Topic = string(bytes.Repeat([]byte("n"), rng.IntN(300)))
			}
			for range rng.IntN(5) {
				wp := kmsg.NewProduceResponseTopicPartition()
				wp.Partition, wp.ErrorCode, wp.LogAppendTime = rng.Int32(), int16(rng.IntN(3)), -1
				r := ingest.Result{Code: wp.ErrorCode, Base: streamdown.Offset(rng.Int64()), LogStart: streamdown.Offset(rng.Int64())}
				wp.BaseOffset = int64(r.Base)
				if r.Code != 0 {
					wp.BaseOffset = -1
				}
				if version >= 5 {
					wp.LogStartOffset = int64(r.LogStart)
				}
				if version < 2 {
					wp.LogAppendTime = kmsg.NewProduceResponseTopicPartition().LogAppendTime
				}
				if n := rng.IntN(2000); n > 1000 {
					r.Message = string(bytes.Repeat([]byte("m"), n))
					if version >= 8 {
						wp.ErrorMessage = kmsg.StringPtr(r.Message[:min(n, maxMessage)])
					}
				}
				s := a.slot(i)
				s.partition, s.result = wp.Partition, r
				wt.Partitions = append(wt.Partitions, wp)
				i++
			}
			a.topics = append(a.topics, answeredTopic{wt.Topic, wt.TopicID, len(wt.Partitions)})
			want.Topics = append(want.Topics, wt)
		}
		b := a.appendTo([]byte("before"))[len("before"):]
		if int(b[3])|int(b[2])<<8|int(b[1])<<16 != len(b)-4 || b[7] != 77 {
			t.Fatalf("v%d: %d bytes begin with %x", version, len(b), b[:8])
		}
		got := produced(version)
		decode(t, b[8:], got)
		if len(want.Topics) != len(got.Topics) {
			t.Fatalf("v%d: %d topics, want %d", version, len(got.Topics), len(want.Topics))
		}
		for j := range want.Topics {
			w, g := want.Topics[j], got.Topics[j]
			if w.Topic != g.Topic || w.TopicID != g.TopicID || len(w.Partitions) != len(g.Partitions) {
				t.Fatalf("v%d: topic %q, want %q", version, g.Topic, w.Topic)
			}
			for k := range w.Partitions {
				g.Partitions[k].ErrorRecords, w.Partitions[k].ErrorRecords = nil, nil
				if !reflect.DeepEqual(w.Partitions[k], g.Partitions[k]) {
					t.Fatalf("v%d:\n got %+v\nwant %+v", version, g.Partitions[k], w.Partitions[k])
				}
			}
		}
		a.release()
	}
}

// FuzzProduceRequest holds the parser to its bounds, and to kmsg's reading wherever it takes a body.
func FuzzProduceRequest(f *testing.F) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 30 {
		r := randomProduce(rng)
		f.Add(r.Version, r.AppendTo(nil))
	}
	f.Add(int16(9), []byte{0, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})              // 2^32-2 topics
	f.Add(int16(9), []byte{0, 0, 1, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f})           // as many tags
	f.Add(int16(3), []byte{0xff, 0xff, 0, 1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff})           // 2^31-1 topics
	f.Add(int16(3), []byte{0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})                          // a length of -32768
	f.Add(int16(9), append([]byte{0, 0, 1, 0, 0, 0, 0}, bytes.Repeat([]byte{0xff}, 50)...)) // no varint
	f.Add(int16(13), append([]byte{0, 0, 1, 0, 0, 0, 0, 2}, make([]byte, 16)...))           // an id, and no partitions behind it
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < 0 || version > produceMax {
			return
		}
		var r produceRequest
		var err error
		// A partition takes 6 bytes or more to ask for and 40 to keep, and a slice that grows is up to 3 times that.
		budget.Allow(t, 64<<10+20*uint64(len(body)), func() {
			r = produceRequest{}
			err = r.parse(version, body)
		})
		if err != nil {
			return
		}
		want := kmsg.NewPtrProduceRequest()
		want.Version = version
		if err := want.ReadFrom(body); err != nil {
			t.Fatalf("taken, but kmsg says: %v", err)
		}
		sameProduce(t, &r, want)
	})
}
