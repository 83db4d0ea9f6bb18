package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/test/budget"
	"github.com/streamdown/streamdown/test/hostile"
)

// framed puts a length and a request header before a body.
func framed(key, version int16, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = append(b, 0, 0, 0, 9, 0xff, 0xff)
	r := kmsg.RequestForKey(key)
	if r.SetVersion(version); r.IsFlexible() {
		b = append(b, 0)
	}
	b = append(b, body...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func TestHostileFramesCostOnlyTheirConnection(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f} // 2^32-1 as a varint
	head := []byte{0, 0, 1, 0, 0, 0, 0}          // of a flexible produce: no transaction, acks 1, no time-out
	old := []byte{0xff, 0xff, 0, 1, 0, 0, 0, 0}  // of one that is not
	cut := frame(1, produceOf(9, -1, "t", 0))
	binary.BigEndian.PutUint32(cut, uint32(len(cut)-4-30))
	cut = cut[:len(cut)-30]
	long := frame(1, produceOf(9, -1, "t", 0))
	long = append(long, 0)
	binary.BigEndian.PutUint32(long, uint32(len(long)-4))
	for _, c := range []struct {
		name  string
		bytes []byte
		log   string // what the log must say
	}{
		{"a web request", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP"},
		{"a TLS hello", []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, "TLS"},
		{"a negative length", []byte{0xff, 0xff, 0xff, 0xff, 0, 0}, "not a frame"},
		{"no length", make([]byte, 64), "not a frame"},
		{"the longest length", []byte{0x7f, 0xff, 0xff, 0xff, 0, 0}, "not a frame"},
		{"a frame shorter than a header", []byte{0, 0, 0, 4, 0, 0, 0, 9}, "header"},
		{"a client id beyond the end", []byte{0, 0, 0, 10, 0, 0, 0, 9, 0, 0, 0, 1, 0x7f, 0xff}, "header"},
		{"a client id of length -7", []byte{0, 0, 0, 10, 0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xf9}, "header"},
		{"a key that does not exist", []byte{0, 0, 0, 10, 0x7f, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff}, "key=32512"},
		{"a negative key", []byte{0, 0, 0, 10, 0xff, 0xfe, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, "key=-2"},
		{"a negative version", []byte{0, 0, 0, 10, 0, 0, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff}, "version=-1"},
		{"produce by topic ids", framed(0, 13, head...), "version=13"},
		{"produce: empty", framed(0, 9), "byte 0"},
		{"produce: as many topics as there are numbers", framed(0, 9, append(head, huge...)...), "beyond the end"},
		{"produce: 2^31-1 topics", framed(0, 3, append(old, 0x7f, 0xff, 0xff, 0xff)...), "beyond the end"},
		{"produce: -2 topics", framed(0, 3, append(old, 0xff, 0xff, 0xff, 0xfe)...), "beyond the end"},
		{"produce: more topics than fit", framed(0, 3, append(append(old, 0, 0, 0, 20), make([]byte, 60)...)...), "more elements"},
		{"produce: as many tags as there are numbers", framed(0, 9, append(append(head, 1), huge...)...), "tagged fields"},
		{"produce: a tag beyond the end", framed(0, 9, append(head, 1, 1, 5, 200, 1)...), "tagged field"},
		{"produce: a varint without an end", framed(0, 9, append(head, bytes.Repeat([]byte{0xff}, 20)...)...), "varint"},
		{"produce: cut", cut, "produce"},
		{"produce: bytes left over", long, "left over"},
		{"produce: 70,000 empty topics", framed(0, 9, append(append(head, 0xf1, 0xa2, 4), bytes.Repeat([]byte{1, 1, 0}, 140_000)...)...), "more than"},
		{"metadata: as many topics as there are numbers", framed(3, 9, huge...), "beyond the end"},
		{"metadata: a topic without a name", framed(3, 9, 2, 0, 0, 0, 0, 0, 0), "null"},
		{"metadata: cut", framed(3, 12, 2, 1, 2, 3), "makes no sense"},
		{"apiversions: names beyond the end", framed(18, 3, 0x7f), "beyond the end"},
		{"apiversions: as many tags as there are numbers", framed(18, 3, append([]byte{1, 1}, huge...)...), "tagged fields"},
		{"initproducerid: cut", framed(22, 4, 0, 0), "too few"},
		{"describecluster: cut", framed(60, 0), "too few"},
		{"fetch: 2^31-1 topics", framed(1, 4, append(make([]byte, 17), 0x7f, 0xff, 0xff, 0xff)...), "beyond the end"},
		{"findcoordinator: as many keys as there are numbers", framed(10, 4, append([]byte{0}, huge...)...), "beyond the end"},
		{"silence", nil, ""},
		{"half a length", []byte{0, 0}, ""},
		{"half a frame", []byte{0, 0, 1, 0, 0, 0}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory("t")
			var log strings.Builder
			s := serve(t, Config{Logger: logTo(&log)}, m, m)
			healthy := newClient(t, s.addr)
			ctx, cancel := context.WithTimeout(t.Context(), testTime)
			defer cancel()
			say := func() {
				t.Helper()
				if err := healthy.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
					t.Fatalf("a healthy client: %v", err)
				}
			}
			say()
			p := dial(t, s.addr)
			p.send(c.bytes)
			if c.log != "" {
				p.closed()
			}
			say()
			if m.records("t") != 2 {
				t.Errorf("%d records, want those of the healthy client", m.records("t"))
			}
			p.nc.Close()
			healthy.Close()
			if err := s.stop(); err != nil {
				t.Fatal(err)
			}
			if said := strings.ToLower(log.String()); !strings.Contains(said, strings.ToLower(c.log)) || c.log == "" && said != "" {
				t.Errorf("the log says %q, want %q", said, c.log)
			}
		})
	}
}

func TestGoodRequestsBeforeABadOneAreAnswered(t *testing.T) {
	in := newHeld()
	s := serve(t, Config{}, in, in)
	p := dial(t, s.addr)
	p.send(append(frame(1, produceOf(9, -1, "t", 0)), framed(0, 9, 1, 2, 3)...))
	eventually(t, "the bad one was seen", func() bool { return s.Stats().Malformed == 1 })
	in.answer(0, 0)
	if id, _, err := p.receive(); err != nil || id != 1 {
		t.Errorf("answer %d, %v", id, err)
	}
	p.closed()
}

// FuzzRequests sends whole requests through a connection: whatever comes, it ends or answers, within a budget of
// processor time and memory.
func FuzzRequests(f *testing.F) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, a := range spoken {
		for v := a.min; v <= a.max; v++ {
			r := kmsg.RequestForKey(a.key)
			r.SetVersion(v)
			f.Add(frame(1, r)[4:])
		}
	}
	for range 10 {
		f.Add(frame(1, randomProduce(rng))[4:])
	}
	f.Add(frame(1, metadataOf(9, true, "t", "new", "other"))[4:])
	for _, i := range hostile.Seeds(hostile.Plain) {
		if !i.Waits && len(i.Data) > 4 && len(i.Data) < 1<<20 {
			f.Add(i.Data[4:])
		}
	}
	m := newMemory("t")
	m.create = func(context.Context, string) error { return nil }
	s := New(Config{CreateWait: time.Nanosecond}, m, m)
	s.brokers[0].host = "h" // as Serve would learn
	f.Fuzz(func(t *testing.T, request []byte) {
		// An answer may be longer than its request, up to what is said of it below, and is built more than once on its way.
		budget.Allow(t, 512<<10+2000*uint64(len(request)), func() { fuzzRequest(t, s, request) })
	})
}

func fuzzRequest(t *testing.T, s *Server, request []byte) {
	c := &conn{server: s, broker: s.brokers[0], queue: newQueue(4), log: s.cfg.Logger}
	err := c.handle(t.Context(), request)
	c.queue.finish()
	o, state := c.queue.take(false)
	if (err == nil) != (state == took) && c.leave == nil {
		t.Fatalf("error %v, but an answer is there: %t", err, state == took)
	}
	if state == took && o.produce != nil {
		out, err := c.settle(o.produce, nil)
		if err == nil && len(out) > 0 && int(binary.BigEndian.Uint32(out)) != len(out)-4 {
			t.Errorf("an answer of %d bytes says it has %d", len(out), binary.BigEndian.Uint32(out))
		}
	} else if state == took {
		r, err := o.late(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out := appendResponse(nil, o.correlation, r)
		if len(out) > 1<<16+400*len(request) {
			t.Errorf("an answer of %d bytes to %d", len(out), len(request))
		}
	}
	if open := s.brokers[0].hold.bytes(); open != 0 {
		t.Errorf("%d bytes stay open", open)
	}
}

// TestAnswersSurviveWhatTheClientStillSends: a connection that is closed with unread bytes is reset, and a reset
// throws away answers that are on their way.
func TestAnswersSurviveWhatTheClientStillSends(t *testing.T) {
	m := newMemory()
	m.add("t", 1_500)
	s := serve(t, Config{}, m, m)
	p := dial(t, s.addr)
	if err := p.nc.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	p.send(frame(1, metadataOf(9, false, "t")))
	p.send(append(framed(0, 9, 1, 2, 3), make([]byte, 64<<10)...))
	eventually(t, "the bad request was seen", func() bool { return s.Stats().Malformed == 1 })
	// The answer is larger than what this side takes unread, so most of it has not left yet.
	id, body, err := p.receive()
	if err != nil || id != 1 {
		t.Fatalf("answer %d, %v", id, err)
	}
	r := described(9)
	decode(t, body, r)
	if len(r.Topics[0].Partitions) != 1_500 {
		t.Errorf("%d partitions", len(r.Topics[0].Partitions))
	}
	p.closed()
}
