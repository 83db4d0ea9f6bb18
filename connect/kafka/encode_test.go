package kafka

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/sink"
)

// joined lays a request out as it leaves.
func joined(t testing.TB, e *encoder, parcels []sink.Parcel, version int16, id int32) []byte {
	t.Helper()
	order, err := arrange(nil, parcels, version)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := e.frame(parcels, order, version, id).WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The slow obvious version is kmsg's encoder, fed with the same grouping.
func TestFramesEqualKmsgs(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 1))
	e := &encoder{clientID: "streamdown", timeoutMillis: 1000}
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("streamdown"))
	for v := int16(produceLeast); v <= produceMost; v++ {
		for _, n := range []int{0, 1, 2, 7, 300} {
			var parcels []sink.Parcel
			for i := range n {
				topic := rnd.IntN(n/3 + 1)
				p := sink.Parcel{
					TopicPartition: streamdown.TopicPartition{Topic: fmt.Sprintf("topic-%d", topic), Partition: int32(i)},
					TopicID:        streamdown.ID{byte(topic), 1},
					Payload:        bytes.Repeat([]byte{byte(i)}, rnd.IntN(400)),
				}
				p.Header[5] = byte(i)
				parcels = append(parcels, p)
			}
			got := joined(t, e, parcels, v, 42)

			order, err := arrange(nil, parcels, v)
			if err != nil {
				t.Fatal(err)
			}
			req := kmsg.NewPtrProduceRequest()
			req.Version, req.Acks, req.TimeoutMillis = v, -1, 1000
			for _, i := range order {
				p := parcels[i]
				if k := len(req.Topics); k == 0 || req.Topics[k-1].Topic != p.TopicPartition.Topic {
					rt := kmsg.NewProduceRequestTopic()
					rt.Topic, rt.TopicID = p.TopicPartition.Topic, p.TopicID
					req.Topics = append(req.Topics, rt)
				}
				rp := kmsg.NewProduceRequestTopicPartition()
				rp.Partition, rp.Records = p.TopicPartition.Partition, append(p.Header[:], p.Payload...)
				rt := &req.Topics[len(req.Topics)-1]
				rt.Partitions = append(rt.Partitions, rp)
			}
			if want := format.AppendRequest(nil, req, 42); !bytes.Equal(got, want) {
				t.Errorf("version %d, %d parcels: %d bytes, kmsg makes %d", v, n, len(got), len(want))
			}
		}
	}
}

func TestTopicIDsAreUsedOnlyWhenAllHaveOne(t *testing.T) {
	with := sink.Parcel{TopicID: streamdown.ID{1}}
	for _, tt := range []struct {
		parcels []sink.Parcel
		most    int16
		want    int16
	}{
		{[]sink.Parcel{with, with}, 13, 13},
		{[]sink.Parcel{with, {}}, 13, 12},
		{[]sink.Parcel{with}, 12, 12},
		{[]sink.Parcel{{}}, 7, 7},
	} {
		if got := versionFor(tt.parcels, tt.most); got != tt.want {
			t.Errorf("%d of %d parcels with id, most %d: version %d", len(tt.parcels), len(tt.parcels), tt.most, got)
		}
	}
}

// answer builds a response with kmsg: code and base by partition.
func answer(version int16, parcels []sink.Parcel, code int16, message string, throttle time.Duration) []byte {
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = version
	resp.ThrottleMillis = int32(throttle.Milliseconds())
	for _, p := range parcels {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = p.TopicPartition.Topic, p.TopicID
		rp := kmsg.NewProduceResponseTopicPartition()
		rp.Partition, rp.ErrorCode, rp.BaseOffset, rp.LogStartOffset = p.TopicPartition.Partition, code, int64(p.Header[0]), 3
		if message != "" {
			rp.ErrorMessage = &message
			er := kmsg.NewProduceResponseTopicPartitionErrorRecord()
			er.RelativeOffset, er.ErrorMessage = 1, &message
			rp.ErrorRecords = append(rp.ErrorRecords, er)
		}
		if version >= 10 {
			rp.CurrentLeader.LeaderID, rp.CurrentLeader.LeaderEpoch = 5, 6
			b := kmsg.NewProduceResponseBroker()
			b.NodeID, b.Host, b.Port = 5, "elsewhere", 9092
			resp.Brokers = []kmsg.ProduceResponseBroker{b}
		}
		rt.Partitions = append(rt.Partitions, rp)
		resp.Topics = append(resp.Topics, rt)
	}
	var b []byte
	if version >= compactFrom {
		b = append(b, 0)
	}
	return resp.AppendTo(b)
}

func someParcels() []sink.Parcel {
	parcels := make([]sink.Parcel, 4)
	for i := range parcels {
		topic := byte(i % 2)
		parcels[i].TopicPartition = streamdown.TopicPartition{Topic: string('a' + rune(topic)), Partition: int32(7 - i)}
		parcels[i].TopicID = streamdown.ID{1, topic}
		parcels[i].Header[0] = byte(10 + i)
	}
	return parcels
}

func TestAnswersFindTheirParcels(t *testing.T) {
	parcels := someParcels()
	shuffled := []sink.Parcel{parcels[2], parcels[0], parcels[3], parcels[1]}
	for v := int16(produceLeast); v <= produceMost; v++ {
		order, err := arrange(nil, parcels, v)
		if err != nil {
			t.Fatal(err)
		}
		answers := make([]sink.Answer, len(parcels))
		throttle, err := parseAnswers(answer(v, shuffled, 0, "", time.Second), v, parcels, order, answers)
		if err != nil || throttle != time.Second {
			t.Fatalf("version %d: %v, %v", v, throttle, err)
		}
		start := streamdown.Offset(3)
		if v < 5 {
			start = streamdown.NoOffset
		}
		for i, a := range answers {
			if want := (sink.Answer{Class: sink.OK, Base: streamdown.Offset(10 + i), LogStart: start}); a != want {
				t.Errorf("version %d, parcel %d: %+v", v, i, a)
			}
		}
		_, err = parseAnswers(answer(v, shuffled[:3], 87, "no key", 0), v, parcels, order, answers)
		if err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		if a := answers[0]; a.Class != sink.Poison || a.Code != 87 || a.Base != streamdown.NoOffset || v >= 8 && a.Message != "no key" {
			t.Errorf("version %d, refused: %+v", v, a)
		}
		if a := answers[1]; a.Class != sink.Doubt || a.Message == "" {
			t.Errorf("version %d, left out: %+v", v, a)
		}
		for name, bad := range map[string][]byte{
			"twice":   answer(v, []sink.Parcel{parcels[0], parcels[0]}, 0, "", 0),
			"foreign": answer(v, []sink.Parcel{{TopicPartition: orders}}, 0, "", 0),
			"cut":     answer(v, parcels, 0, "", 0)[:40],
		} {
			if _, err := parseAnswers(bad, v, parcels, order, answers); err == nil {
				t.Errorf("version %d: %s was taken", v, name)
			}
		}
	}
}

func FuzzAnswers(f *testing.F) {
	for v := int16(produceLeast); v <= produceMost; v++ {
		f.Add(v, answer(v, someParcels(), 0, "", 0))
		f.Add(v, answer(v, someParcels()[:2], 87, "words", time.Second))
	}
	f.Add(int16(9), []byte{0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add(int16(3), []byte{0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, v int16, b []byte) {
		if v < produceLeast || v > produceMost {
			return
		}
		parcels := someParcels()
		order, err := arrange(nil, parcels, v)
		if err != nil {
			t.Fatal(err)
		}
		answers := make([]sink.Answer, len(parcels))
		if _, err := parseAnswers(b, v, parcels, order, answers); err != nil {
			return
		}
		for i, a := range answers {
			if a.Class == unanswered || (a.Class == sink.OK) != (a.Code == 0 && a.Message != leftOut) || a.Base >= 0 && a.Class != sink.OK || len(a.Message) > 3*mostMessage {
				t.Errorf("parcel %d: %+v", i, a)
			}
		}
		// kmsg must agree that this is a response, and on the codes.
		resp := kmsg.NewPtrProduceResponse()
		resp.Version = v
		r := reader{b: b}
		if v >= compactFrom {
			r.tags()
		}
		if err := resp.ReadFrom(r.b); err != nil {
			return // kmsg wants the structure of tags that we skip
		}
		n := 0
		for _, rt := range resp.Topics {
			n += len(rt.Partitions)
		}
		for _, a := range answers {
			if a.Message == leftOut {
				n++
			}
		}
		if n != len(parcels) {
			t.Errorf("kmsg sees %d answers", n)
		}
	})
}

// drain is a connection that takes everything at once.
type drain struct {
	net.Conn
	n int64
}

func (d *drain) Write(b []byte) (int, error) { d.n += int64(len(b)); return len(b), nil }

func BenchmarkSendEncoding(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("parcels=%d", n), func(b *testing.B) {
			parcels := make([]sink.Parcel, n)
			for i := range parcels {
				parcels[i].TopicPartition = streamdown.TopicPartition{Topic: fmt.Sprintf("topic-%d", i%7), Partition: int32(i)}
				parcels[i].TopicID = streamdown.ID{byte(i % 7), 1}
				parcels[i].Payload = make([]byte, 16<<10)
			}
			e := &encoder{clientID: "streamdown", timeoutMillis: 1000}
			var out drain
			var ord []int32
			b.ReportAllocs()
			for b.Loop() {
				v := versionFor(parcels, produceMost)
				ord, _ = arrange(ord[:0], parcels, v)
				_, _ = e.frame(parcels, ord, v, 1).WriteTo(&out)
			}
			b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "batches/s")
		})
	}
}

func BenchmarkAnswerParsing(b *testing.B) {
	parcels := make([]sink.Parcel, 100)
	for i := range parcels {
		parcels[i].TopicPartition = streamdown.TopicPartition{Topic: fmt.Sprintf("topic-%d", i%7), Partition: int32(i)}
	}
	ord, _ := arrange(nil, parcels, 12)
	in := answer(12, parcels, 0, "", 0)
	answers := make([]sink.Answer, len(parcels))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseAnswers(in, 12, parcels, ord, answers); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "batches/s")
}

// BenchmarkPipe sends one batch of 16 KiB per request, five in flight, to a broker on loopback that only answers.
func BenchmarkPipe(b *testing.B) {
	tokens := make(chan struct{}, 5)
	p := dialScripted(b, &scripted{answer: answerOK, produce: 12}, 5, func(_ uint64, _ []sink.Answer, err error) {
		if err != nil {
			b.Error(err)
		}
		<-tokens
	})
	parcels := []sink.Parcel{{TopicPartition: orders, Payload: make([]byte, 16<<10)}}
	b.SetBytes(16 << 10)
	for b.Loop() {
		tokens <- struct{}{}
		p.Send(1, parcels)
	}
	for range cap(tokens) {
		tokens <- struct{}{}
	}
}
