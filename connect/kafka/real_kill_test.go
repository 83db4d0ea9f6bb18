//go:build real

package kafka

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/test/realkafka"
)

// These tests kill and pause a real Kafka of their own.

func realBroker(t *testing.T) (*realkafka.Broker, *Client) {
	t.Helper()
	b, err := realkafka.Start(within(t, 5*time.Minute), realkafka.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Kill(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("Apache Kafka %s", b.Version)
	return b, clientOf(t, Config{Bootstrap: []string{b.Addr()}})
}

// deaf is a connection that can stop to hear: what comes is lost on us, as when a broker dies after it stored and
// before it could answer.
type deaf struct {
	net.Conn
	on atomic.Bool
}

func (d *deaf) Read(b []byte) (int, error) {
	for {
		n, err := d.Conn.Read(b)
		if err != nil || !d.on.Load() {
			return n, err
		}
	}
}

// A broker is killed with five requests in flight, several times; in every other round it has stored all of them and
// no answer is heard. After each restart: ask, continue behind what it holds, and every batch is there once, in order.
func TestRealKilledBrokerHoldsEachBatchOnceAfterResending(t *testing.T) {
	b, c := realBroker(t)
	var line *deaf
	sender := clientOf(t, Config{Bootstrap: []string{b.Addr()}, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		line = &deaf{Conn: nc}
		return line, err
	}})
	p, pid := realTopic(t, c, "kill", nil), newPID(t, c)
	ctx := within(t, 5*time.Minute)
	const size = 50
	next := int32(0) // sequence of the first batch without an answer
	for round := range 4 {
		if _, err := sender.Look(ctx, nil); err != nil { // so that the pipe's is the last connection dialled
			t.Fatal(err)
		}
		replies := make(ear, 1000)
		pipe, err := sender.Dial(ctx, p.node, 5, replies.onReply)
		if err != nil {
			t.Fatal(err)
		}
		first, sent, doubts := next, next, 0
		hear := func(h heard) {
			switch {
			case h.err == nil && (h.answers[0].Class != sink.OK || h.answers[0].Base != streamdown.Offset(h.tag)):
				t.Fatalf("round %d, sequence %d: %+v", round, h.tag, h.answers[0])
			case h.err == nil:
				next = int32(h.tag) + size
			case !Reset(h.err):
				t.Errorf("a killed broker looks like %v", h.err)
			case !errors.Is(h.err, ErrUnsent):
				doubts++
			}
		}
		send := func() bool {
			ok := pipe.Send(uint64(sent), []sink.Parcel{p.parcel(t, pid, 0, sent, size)})
			if ok {
				sent += size
			}
			return ok
		}
		for int(sent-first)/size < 20+13*round {
			if !send() {
				hear(replies.next(t, ctx))
			}
		}
		if round%2 == 1 {
			for next < sent {
				hear(replies.next(t, ctx))
			}
			line.on.Store(true)
			for send() {
			}
			for wait := (pause{}); ; {
				if _, end, err := c.EndOffset(ctx, p.node, p.tp); err != nil {
					t.Fatal(err)
				} else if end == streamdown.Offset(sent) {
					break
				}
				if err := wait.wait(ctx, 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
		<-pipe.Done()
		close(replies)
		for h := range replies {
			hear(h)
		}
		if err := c.Probe(ctx); !Reset(err) {
			t.Errorf("probe of a killed broker: %v", err)
		}
		if err := b.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		p = realPlace(t, c, "kill")
		held, err := c.Ask(ctx, p.node, p.tp, pid)
		if err != nil || !held.Known {
			t.Fatalf("round %d: %+v, %v", round, held, err)
		}
		beyond := (held.LastSequence + 1 - next) / size
		t.Logf("round %d: sent %d batches, %d answered, %d in doubt, broker holds %d beyond the answers, leader epoch %d",
			round, (sent-first)/size, (next-first)/size, doubts, beyond, p.epoch)
		if beyond < 0 || round%2 == 1 && beyond != 5 {
			t.Fatalf("round %d: the broker holds %d batches beyond the answers", round, beyond)
		}
		// What it holds must not be stored again. After any restart, killed or not, it knows only the last batch of a
		// producer (log recovery ends with a snapshot, which holds no more): that one gets its original offset, those
		// before it get OUT_OF_ORDER although they are in the log. So: ask and continue, never resend from the first doubt.
		last := held.LastSequence + 1 - size
		for seq := next; seq <= last; seq += size {
			a := deliver(t, c, p.node, p.parcel(t, pid, 0, seq, size))[0]
			stored := a.Class == sink.OK && a.Base == streamdown.Offset(seq)
			if !stored && (seq == last || a.Class != sink.OutOfOrder) {
				t.Fatalf("round %d: resend of sequence %d of %d: %+v", round, seq, last, a)
			}
		}
		next = held.LastSequence + 1
	}
	got, err := c.Scan(ctx, p.node, p.scan(pid))
	if err != nil || got.End != streamdown.Offset(next) {
		t.Fatalf("end %d, sent %d, %v", got.End, next, err)
	}
	for i, tr := range got.Batches {
		if tr.Base != streamdown.Offset(i*size) || tr.Sequence != int32(i*size) || tr.Count != size {
			t.Errorf("batch %d: %+v", i, tr)
		}
	}
}

func TestRealPausedBrokerIsSilentNotReset(t *testing.T) {
	b, warm := realBroker(t)
	c := clientOf(t, Config{Bootstrap: []string{b.Addr()}, RequestTimeout: 1500 * time.Millisecond, ProduceTimeout: time.Second})
	p, pid := realTopic(t, warm, "pause", nil), newPID(t, warm)
	ctx := within(t, time.Minute)
	replies := make(ear, 10)
	pipe, err := c.Dial(ctx, p.node, 5, replies.onReply)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if err := b.Pause(); err != nil {
		t.Fatal(err)
	}
	pipe.Send(1, []sink.Parcel{p.parcel(t, pid, 0, 0, 5)})
	if h := replies.next(t, ctx); TroubleOf(h.err) != PeerSilent || Reset(h.err) {
		t.Errorf("pipe: %v", h.err)
	}
	if err := c.Probe(ctx); TroubleOf(err) != PeerSilent || Reset(err) {
		t.Errorf("probe: %v", err)
	}
	if err := b.Continue(); err != nil {
		t.Fatal(err)
	}
	if err := warm.Probe(ctx); err != nil {
		t.Errorf("probe after it goes on: %v", err)
	}
}
