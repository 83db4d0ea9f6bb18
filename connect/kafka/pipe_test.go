package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wire"
)

// dialScripted opens a pipe to a scripted broker on loopback.
func dialScripted(t testing.TB, s *scripted, depth int, onReply func(uint64, []sink.Answer, error)) *Pipe {
	t.Helper()
	c := clientOf(t, Config{Bootstrap: []string{s.listen(t)}})
	p, err := c.Dial(within(t, 2*time.Minute), 1, depth, onReply)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func answerOK(_ int, h wire.RequestHeader, body []byte) ([]byte, error) {
	return produced(h, body, int64(h.CorrelationID)), nil
}

func TestAnswersComeInOrderForEveryVersion(t *testing.T) {
	for v := int16(produceLeast); v < topicIDFrom; v++ {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			replies := make(ear, 100)
			p := dialScripted(t, &scripted{answer: answerOK, produce: v}, 5, replies.onReply)
			ctx := within(t, 2*time.Minute)
			parcels := []sink.Parcel{
				parcelOf(t, streamdown.TopicPartition{Topic: "b", Partition: 1}, streamdown.ID{}, 7, 0, 0, 1),
				parcelOf(t, streamdown.TopicPartition{Topic: "a", Partition: 0}, streamdown.ID{}, 7, 0, 0, 1),
				parcelOf(t, streamdown.TopicPartition{Topic: "b", Partition: 0}, streamdown.ID{}, 7, 0, 0, 1),
			}
			for sent, heard := uint64(0), uint64(0); heard < 50; {
				if sent < 50 && p.Send(sent, parcels) {
					sent++
					continue
				}
				h := replies.next(t, ctx)
				if h.err != nil || h.tag != heard || len(h.answers) != 3 {
					t.Fatalf("reply %d: %+v", heard, h)
				}
				for _, a := range h.answers {
					if a.Class != sink.OK || a.Base != streamdown.Offset(heard) {
						t.Errorf("reply %d: %+v", heard, a)
					}
				}
				heard++
			}
		})
	}
}

func TestSendRefusesBeyondItsDepth(t *testing.T) {
	replies := make(ear, 100)
	gate := make(chan struct{})
	p := dialScripted(t, &scripted{answer: func(n int, h wire.RequestHeader, body []byte) ([]byte, error) {
		<-gate
		return answerOK(n, h, body)
	}}, 3, replies.onReply)
	parcels := []sink.Parcel{parcelOf(t, orders, streamdown.ID{}, 7, 0, 0, 1)}
	for i := range uint64(3) {
		if !p.Send(i, parcels) {
			t.Fatalf("send %d refused", i)
		}
	}
	if p.Send(3, parcels) {
		t.Error("a fourth unanswered request was taken")
	}
	close(gate)
	ctx := within(t, 2*time.Minute)
	for i := range uint64(3) {
		if h := replies.next(t, ctx); h.tag != i || h.err != nil {
			t.Errorf("reply %d: %+v", i, h)
		}
	}
	if !p.Send(4, parcels) {
		t.Error("refused although all is answered")
	}
	if h := replies.next(t, ctx); h.tag != 4 {
		t.Errorf("got %+v", h)
	}
	p.Close()
	if p.Send(5, parcels) {
		t.Error("a closed pipe takes a request")
	}
}

// Whatever the broker does to the connection, each Send gets one onReply, in order; errors follow answers and
// "unsent" follows doubt. The broker counts what reached it whole: none of that may be reported as unsent.
func TestEverySendIsAnsweredOnceAndInOrderUnderConnectionLoss(t *testing.T) {
	const seed = 7
	rnd := rand.New(rand.NewPCG(seed, 1))
	parcels := []sink.Parcel{parcelOf(t, orders, streamdown.ID{}, 7, 0, 0, 200)}
	var mu sync.Mutex
	arrived, certain := map[string]int{}, map[string]int{} // by round, which is the client's id
	t.Cleanup(func() {                                     // after the broker has read all that was on its way
		for round, n := range arrived {
			if n > certain[round] {
				t.Errorf("%s: broker took %d requests, only %d are not reported as unsent", round, n, certain[round])
			}
		}
	})
	var breakAt, how atomic.Int64
	s := &scripted{answer: func(n int, h wire.RequestHeader, body []byte) ([]byte, error) {
		mu.Lock()
		arrived[h.ClientID]++
		mu.Unlock()
		if int64(n) == breakAt.Load() {
			if how.Load() == 0 {
				return nil, errors.New("break before the answer")
			}
			out := produced(h, body, 1)
			return out[:len(out)/2], nil // a whole frame with half an answer in it: garble
		}
		return answerOK(n, h, body)
	}}
	addr := s.listen(t)
	ctx := within(t, 2*time.Minute)
	for round := range 150 {
		name := fmt.Sprintf("round %d", round)
		c := clientOf(t, Config{Bootstrap: []string{addr}, ClientID: name})
		breakAt.Store(int64(rnd.IntN(20)))
		how.Store(int64(rnd.IntN(2)))
		closeAt := uint64(1 << 60)
		if rnd.IntN(3) == 0 {
			closeAt = rnd.Uint64N(20)
		}
		var got []heard // the pipe's until it is closed
		p, err := c.Dial(ctx, 1, 1+rnd.IntN(6), func(tag uint64, answers []sink.Answer, err error) {
			got = append(got, heard{tag, slices.Clone(answers), err})
		})
		if err != nil {
			t.Fatal(err)
		}
		accepted := uint64(0)
		for p.Err() == nil {
			if accepted == closeAt {
				break
			}
			if p.Send(accepted, parcels) {
				accepted++
			}
		}
		p.Close()
		if uint64(len(got)) != accepted {
			t.Fatalf("round %d: %d sends, %d replies", round, accepted, len(got))
		}
		doubt, unsent := false, false
		for i, h := range got {
			switch {
			case h.tag != uint64(i):
				t.Fatalf("round %d: reply %d has tag %d", round, i, h.tag)
			case h.err == nil && (doubt || unsent || len(h.answers) != 1):
				t.Fatalf("round %d: answer %d after an error, or with %d answers", round, i, len(h.answers))
			case errors.Is(h.err, ErrUnsent):
				unsent = true
			case h.err != nil && unsent:
				t.Fatalf("round %d: doubt after unsent", round)
			case h.err != nil:
				doubt = true
			}
			if !errors.Is(h.err, ErrUnsent) {
				certain[name]++
			}
		}
	}
}

func TestBadAnswersEndThePipeCleanly(t *testing.T) {
	header := func(id int32, rest ...byte) []byte {
		b := []byte{0, 0, 0, byte(len(rest) + 4), byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}
		return append(b, rest...)
	}
	for _, tt := range []struct {
		name string
		raw  []byte // written as it is
		want Trouble
	}{
		{"wrong correlation id", header(99, 0, 1, 0, 0, 0, 0, 0), PeerGarbled},
		{"cut short", header(0, 0), PeerGarbled},
		{"a partition that was not sent", header(0, append([]byte{0, 2, 2, 'x', 2, 0, 0, 0, 9, 0, 0}, make([]byte, 40)...)...), PeerGarbled},
		{"oversize", []byte{0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}, PeerGarbled},
		{"negative size", []byte{0xff, 0, 0, 0}, PeerGarbled},
		{"another protocol", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), PeerGarbled},
		{"end of connection", nil, PeerReset},
	} {
		t.Run(tt.name, func(t *testing.T) {
			replies := make(ear, 10)
			s := &scripted{}
			s.answer = func(int, wire.RequestHeader, []byte) ([]byte, error) { return nil, errRaw{tt.raw} }
			p := dialScripted(t, s, 5, replies.onReply)
			parcels := []sink.Parcel{parcelOf(t, orders, streamdown.ID{}, 7, 0, 0, 1)}
			sent := uint64(0)
			for sent < 3 && p.Send(sent, parcels) { // it may end before the third
				sent++
			}
			ctx := within(t, 2*time.Minute)
			for i := range sent {
				h := replies.next(t, ctx)
				if h.tag != i || h.answers != nil || TroubleOf(h.err) != tt.want {
					t.Errorf("reply %d: %+v", i, h)
				}
			}
			<-p.Done()
			if TroubleOf(p.Err()) != tt.want || Reset(p.Err()) != (tt.want == PeerReset) {
				t.Errorf("ended with %v", p.Err())
			}
		})
	}
}

func TestIdleCloseIsNoReset(t *testing.T) {
	replies := make(ear, 10)
	p := dialScripted(t, &scripted{answer: func(n int, h wire.RequestHeader, body []byte) ([]byte, error) {
		return produced(h, body, 0), errRaw{} // answer, then hang up
	}}, 5, replies.onReply)
	p.Send(1, []sink.Parcel{parcelOf(t, orders, streamdown.ID{}, 7, 0, 0, 1)})
	if h := replies.next(t, within(t, 2*time.Minute)); h.err != nil {
		t.Fatal(h.err)
	}
	<-p.Done()
	if TroubleOf(p.Err()) != PeerIdle || Reset(p.Err()) {
		t.Errorf("ended with %v", p.Err())
	}
}

func TestTwoParcelsForOnePartitionAreNeverSent(t *testing.T) {
	replies := make(ear, 10)
	var arrived atomic.Int64
	p := dialScripted(t, &scripted{answer: func(n int, h wire.RequestHeader, body []byte) ([]byte, error) {
		arrived.Add(1)
		return answerOK(n, h, body)
	}}, 5, replies.onReply)
	one := parcelOf(t, orders, streamdown.ID{}, 7, 0, 0, 1)
	p.Send(1, []sink.Parcel{one, one})
	if h := replies.next(t, within(t, 2*time.Minute)); !errors.Is(h.err, ErrUnsent) || !errors.Is(h.err, errTwice) {
		t.Errorf("got %+v", h)
	}
	p.Close()
	if arrived.Load() != 0 {
		t.Error("the broker got it")
	}
}

// inMemory runs f in a bubble of fake time against a scripted broker behind net.Pipe.
func inMemory(t *testing.T, s *scripted, f func(t *testing.T, c *Client)) {
	synctest.Test(t, func(t *testing.T) {
		s.host, s.port = "broker", 9092
		var wg sync.WaitGroup
		c := clientOf(t, Config{Bootstrap: []string{"broker:9092"}, Dial: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			wg.Go(func() { s.serve(far) })
			return near, nil
		}})
		f(t, c)
		c.Close()
		wg.Wait()
	})
}

func TestSilenceEndsAPipe(t *testing.T) {
	hang := &scripted{answer: func(n int, h wire.RequestHeader, body []byte) ([]byte, error) {
		if n < 2 {
			return answerOK(n, h, body)
		}
		return nil, errHang
	}}
	inMemory(t, hang, func(t *testing.T, c *Client) {
		replies := make(ear, 10)
		p, err := c.Dial(t.Context(), 1, 5, replies.onReply)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // fake time: idle is not silent
		started := time.Now()
		for i := range uint64(4) {
			p.Send(i, []sink.Parcel{parcelOf(t, orders, streamdown.ID{}, 7, 0, 0, 1)})
		}
		<-p.Done()
		if took := time.Since(started); took != 10*time.Second {
			t.Errorf("noticed after %v", took)
		}
		close(replies)
		var wants []bool
		for h := range replies {
			wants = append(wants, h.err == nil)
			if h.err != nil && (TroubleOf(h.err) != PeerSilent || errors.Is(h.err, ErrUnsent) || Reset(h.err)) {
				t.Errorf("reply %d: %v", h.tag, h.err)
			}
		}
		if !slices.Equal(wants, []bool{true, true, false, false}) {
			t.Errorf("answered: %v", wants)
		}
	})
}

// A broker that reads slowly is not silent: every byte it takes counts. One that stops reading is.
func TestSlowReadingIsNotSilence(t *testing.T) {
	for _, tt := range []struct {
		name  string
		stops bool
	}{{"slow", false}, {"stops", true}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{host: "broker", port: 9092, answer: answerOK}
				var wg sync.WaitGroup
				dials := 0
				c := clientOf(t, Config{Bootstrap: []string{"broker:9092"}, Dial: func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					if dials++; dials == 2 { // the first is the admin connection
						far = &slow{Conn: far, stops: tt.stops}
					}
					wg.Go(func() { s.serve(far) })
					return near, nil
				}})
				replies := make(ear, 10)
				p, err := c.Dial(t.Context(), 1, 5, replies.onReply)
				if err != nil {
					t.Fatal(err)
				}
				started := time.Now()
				p.Send(1, []sink.Parcel{parcelOf(t, orders, streamdown.ID{}, 7, 0, 0, 500)})
				h := <-replies
				took := time.Since(started)
				if tt.stops && TroubleOf(h.err) != PeerSilent || !tt.stops && h.err != nil {
					t.Errorf("after %v: %v", took, h.err)
				}
				if took < 10*time.Second || tt.stops && took > 45*time.Second {
					t.Errorf("took %v", took)
				}
				p.Close()
				c.Close()
				wg.Wait()
			})
		})
	}
}

// slow reads at most 100 bytes at a time, every 3 s of fake time once more than the handshake was read.
type slow struct {
	net.Conn
	read  int
	stops bool
}

func (s *slow) Read(b []byte) (int, error) {
	if s.read > 200 {
		if s.stops && s.read > 1000 {
			time.Sleep(time.Hour)
		}
		time.Sleep(3 * time.Second)
	}
	n, err := s.Conn.Read(b[:min(len(b), 100)])
	s.read += n
	return n, err
}

func TestSilenceEndsAnAdminConnection(t *testing.T) {
	hang := &scripted{answer: func(int, wire.RequestHeader, []byte) ([]byte, error) { return nil, errHang }}
	inMemory(t, hang, func(t *testing.T, c *Client) {
		if _, err := c.Look(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		_, err := c.Ask(t.Context(), 1, orders, 7)
		if took := time.Since(started); TroubleOf(err) != PeerSilent || took != 10*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		if _, err := c.Look(t.Context(), nil); err != nil {
			t.Errorf("a new connection: %v", err)
		}
	})
}

func TestAdminConnectionRefusesGarble(t *testing.T) {
	for name, raw := range map[string][]byte{
		"wrong correlation id": {0, 0, 0, 4, 9, 9, 9, 9},
		"empty answer":         {0, 0, 0, 4, 0, 0, 0, 1},
		"oversize":             {0x7f, 0xff, 0xff, 0xff},
		"another protocol":     []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			s := &scripted{answer: func(int, wire.RequestHeader, []byte) ([]byte, error) { return nil, errRaw{raw} }}
			c := clientOf(t, Config{Bootstrap: []string{s.listen(t)}})
			ctx := within(t, 2*time.Minute)
			if _, err := c.Look(ctx, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Ask(ctx, 1, orders, 7); TroubleOf(err) != PeerGarbled || ClassOf(err) != sink.Doubt {
				t.Errorf("got %v", err)
			}
			if _, err := c.Look(ctx, nil); err != nil {
				t.Errorf("a new connection: %v", err)
			}
		})
	}
}

func TestProbeTellsRefusedFromSilent(t *testing.T) {
	s := &scripted{}
	addr := s.listen(t)
	if err := clientOf(t, Config{Bootstrap: []string{addr}}).Probe(within(t, 2*time.Minute)); err != nil {
		t.Error(err)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	err = clientOf(t, Config{Bootstrap: []string{nobody}}).Probe(within(t, 2*time.Minute))
	if TroubleOf(err) != DialRefused || !Reset(err) {
		t.Errorf("nobody there: %v", err)
	}
	if err := clientOf(t, Config{Bootstrap: []string{nobody, addr}}).Probe(within(t, 2*time.Minute)); err != nil {
		t.Errorf("one of two there: %v", err)
	}

	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var open []net.Conn
		c := clientOf(t, Config{Bootstrap: []string{"a:1", "b:1"}, Dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
			if addr == "a:1" {
				<-ctx.Done()
				return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
			}
			near, far := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, far) }()
			mu.Lock()
			defer mu.Unlock()
			open = append(open, far)
			return near, nil
		}})
		started := time.Now()
		err := c.Probe(t.Context())
		if took := time.Since(started); took != 15*time.Second || Reset(err) {
			t.Errorf("after %v: %v", took, err)
		}
		kinds := map[Trouble]int{}
		each(err, func(e *ConnError) { kinds[e.Trouble]++ })
		if kinds[DialTimedOut] != 1 || kinds[PeerSilent] != 1 {
			t.Errorf("got %v: %v", kinds, err)
		}
		for _, nc := range open {
			nc.Close()
		}
	})
}
