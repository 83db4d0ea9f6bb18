package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// embedded starts kfake, an embedded broker that speaks the real protocol, and a client for it.
func embedded(t testing.TB, opts ...kfake.Opt) (*kfake.Cluster, *Client) {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, "orders", "audit")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	return fake, clientOf(t, Config{Bootstrap: fake.ListenAddrs()})
}

func clientOf(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

var orders = streamdown.TopicPartition{Topic: "orders", Partition: 1}

// parcelOf builds a batch of n records and wraps it.
func parcelOf(t testing.TB, tp streamdown.TopicPartition, id streamdown.ID, pid int64, epoch int16, seq int32, n int) sink.Parcel {
	t.Helper()
	var b batch.Builder
	for i := range n {
		b.Append(time.Now().UnixMilli(), []byte("key"), fmt.Appendf(nil, "%d/%d/%d", pid, epoch, int(seq)+i))
	}
	raw, err := b.Build(0, batch.Stamp{ProducerID: pid, Epoch: epoch, BaseSequence: seq})
	if err != nil {
		t.Fatal(err)
	}
	p := sink.Parcel{TopicPartition: tp, TopicID: id, Payload: slices.Clone(raw[batch.HeaderSize:])}
	copy(p.Header[:], raw)
	return p
}

// heard is one call of onReply.
type heard struct {
	tag     uint64
	answers []sink.Answer
	err     error
}

// ear collects calls of onReply.
type ear chan heard

func (e ear) onReply(tag uint64, answers []sink.Answer, err error) {
	e <- heard{tag, slices.Clone(answers), err}
}

func (e ear) next(t testing.TB, ctx context.Context) heard {
	t.Helper()
	select {
	case h := <-e:
		return h
	case <-ctx.Done():
		t.Fatal("no reply")
		return heard{}
	}
}

// deliver sends the parcels in one request and returns their answers.
func deliver(t testing.TB, c *Client, node int32, parcels ...sink.Parcel) []sink.Answer {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	replies := make(ear, 1)
	p, err := c.Dial(ctx, node, 1, replies.onReply)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if !p.Send(1, parcels) {
		t.Fatal("fresh pipe refuses to send")
	}
	h := replies.next(t, ctx)
	if h.err != nil {
		t.Fatal(h.err)
	}
	return h.answers
}

// scripted is a broker whose every answer a test decides. It shakes hands and answers Metadata with itself as node 1.
type scripted struct {
	// answer returns the response after the correlation id, header tags included. With an error the connection is
	// closed after that; errHang keeps it open without a word, errRaw writes bytes as they are first.
	answer func(nth int, h wire.RequestHeader, body []byte) (response []byte, err error)
	// produce is the highest version of Produce offered, 0 for 9.
	produce int16
	host    string
	port    int32
}

var errHang = errors.New("hang")

// errRaw makes a scripted broker write bytes of the test's choice and hang up.
type errRaw struct{ raw []byte }

func (errRaw) Error() string { return "raw" }

// serve answers one connection until it ends.
func (s *scripted) serve(nc net.Conn) {
	defer nc.Close()
	produced := 0
	for {
		frame, err := wire.ReadFrame(nc, nil, 1<<30)
		if err != nil {
			return
		}
		h, body, err := wire.ParseRequestHeader(frame)
		if err != nil {
			return
		}
		var out []byte
		switch h.Key {
		case 18:
			out = s.versions(h.Version)
		case 3:
			out = s.metadata(h.Version)
		default:
			out, err = s.answer(produced, h, body)
			produced++
		}
		if err == errHang {
			_, _ = io.Copy(io.Discard, nc)
			return
		}
		var raw errRaw
		if errors.As(err, &raw) && out == nil {
			_, _ = nc.Write(raw.raw)
			return
		}
		if err != nil && out == nil {
			return
		}
		msg := binary.BigEndian.AppendUint32(nil, uint32(len(out)+4))
		msg = binary.BigEndian.AppendUint32(msg, uint32(h.CorrelationID))
		if _, werr := nc.Write(append(msg, out...)); werr != nil || err != nil {
			return
		}
	}
}

func (s *scripted) versions(v int16) []byte {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version = v
	most := s.produce
	if most == 0 {
		most = 9
	}
	for _, k := range [][3]int16{{0, 3, most}, {1, 4, 12}, {3, 0, 12}, {18, 0, 3}, {22, 0, 4}, {61, 0, 0}} {
		key := kmsg.NewApiVersionsResponseApiKey()
		key.ApiKey, key.MinVersion, key.MaxVersion = k[0], k[1], k[2]
		resp.ApiKeys = append(resp.ApiKeys, key)
	}
	return resp.AppendTo(nil)
}

func (s *scripted) metadata(v int16) []byte {
	resp := kmsg.NewPtrMetadataResponse()
	resp.Version = v
	b := kmsg.NewMetadataResponseBroker()
	b.NodeID, b.Host, b.Port = 1, s.host, s.port
	resp.Brokers = append(resp.Brokers, b)
	resp.ClusterID = kmsg.StringPtr("scripted")
	return resp.AppendTo([]byte{0})
}

// listen starts the broker on loopback and returns its address.
func (s *scripted) listen(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	s.host, s.port = "127.0.0.1", int32(addr.Port)
	var mu sync.Mutex
	var open []net.Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, nc)
			mu.Unlock()
			wg.Go(func() { s.serve(nc) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, nc := range open {
			nc.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return addr.String()
}

// produced answers a Produce request of a version below 13 with code 0 and consecutive offsets for every partition.
func produced(h wire.RequestHeader, body []byte, base int64) []byte {
	req := kmsg.NewPtrProduceRequest()
	req.Version = h.Version
	if h.Version >= compactFrom && len(body) > 0 && h.ClientID == "" {
		panic("no client id")
	}
	if err := req.ReadFrom(body); err != nil {
		return nil
	}
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.BaseOffset, rp.LogStartOffset = p.Partition, base, 0
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	var out []byte
	if h.Version >= compactFrom {
		out = append(out, 0)
	}
	return resp.AppendTo(out)
}
