package gateway

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/ingest"
)

// held is an intake that answers when it is told to. Everything else is memory's.
type held struct {
	*memory
	mu    sync.Mutex // guards the following
	asked []heldRequest
}

type heldRequest struct {
	ingest.Request
	done func(ingest.Result)
}

func newHeld() *held { return &held{memory: newMemory("t")} }

func (h *held) Produce(r ingest.Request, done func(ingest.Result)) {
	r.Records = slices.Clone(r.Records)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, heldRequest{r, done})
}

func (h *held) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.asked)
}

func (h *held) answer(i int, base streamdown.Offset) {
	h.mu.Lock()
	done := h.asked[i].done
	h.mu.Unlock()
	done(ingest.Result{Base: base, LogStart: 0})
}

// pipe runs one connection in memory, for tests with a clock of their own (synctest). Wait until all goroutines are
// blocked, then look: what did not happen until then never will by itself.
func pipe(t *testing.T, cfg Config, in Intake, d Directory) (client net.Conn, s *Server, stop func()) {
	client, ours := net.Pipe()
	s = New(cfg, in, d)
	s.brokers[0].host, s.brokers[0].port = "h", 1
	reading, stopReading := context.WithCancel(t.Context())
	work, stopWork := context.WithCancel(context.Background())
	c := newConn(s, ours, s.brokers[0])
	var running sync.WaitGroup
	running.Go(func() { c.run(reading, work) })
	t.Cleanup(func() {
		stopReading()
		stopWork()
		c.abort()
		client.Close()
		running.Wait()
	})
	return client, s, func() { stopReading(); c.stop() }
}

// listener collects the correlation ids that come in, until the connection ends.
type listener struct {
	mu    sync.Mutex // guards the following
	ids   []int32
	bases []int64
	ended bool
}

func listen(t *testing.T, client net.Conn) *listener {
	l := &listener{}
	go func() {
		p := &peer{t, client}
		for {
			id, body, err := p.receive()
			l.mu.Lock()
			if err != nil {
				l.ended = true
				l.mu.Unlock()
				return
			}
			r := produced(7)
			l.ids = append(l.ids, id)
			if r.ReadFrom(body) == nil && len(r.Topics) == 1 {
				l.bases = append(l.bases, r.Topics[0].Partitions[0].BaseOffset)
			}
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *listener) heard() []int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ids)
}

func TestAnswersLeaveInTheOrderOfTheRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newHeld()
		client, s, _ := pipe(t, Config{}, in, in)
		heard := listen(t, client)
		const n = 5
		for i := range int32(n) {
			client.Write(frame(i, produceOf(7, -1, "t", 0)))
		}
		client.Write(frame(n, kmsg.NewPtrMetadataRequest())) // answered at once, but not before its turn
		synctest.Wait()
		for i := n - 1; i > 0; i-- {
			in.answer(i, streamdown.Offset(100+i))
			synctest.Wait()
			if got := heard.heard(); len(got) > 0 {
				t.Fatalf("answers %v left before the first one was complete", got)
			}
		}
		in.answer(0, 100)
		synctest.Wait()
		if got, want := heard.heard(), []int32{0, 1, 2, 3, 4, 5}; !slices.Equal(got, want) {
			t.Fatalf("answers left as %v, want %v", got, want)
		}
		if want := []int64{100, 101, 102, 103, 104}; !slices.Equal(heard.bases, want) {
			t.Errorf("offsets %v, want %v: results went to other requests", heard.bases, want)
		}
		if open := s.Stats().OpenBytes; open != 0 {
			t.Errorf("%d bytes are open after all is answered", open)
		}
	})
}

func TestProduceIsAnsweredWhenItsLastPartitionIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newHeld()
		client, _, _ := pipe(t, Config{}, in, in)
		heard := listen(t, client)
		client.Write(frame(1, produceOf(7, -1, "t", 0, 1, 2)))
		synctest.Wait()
		for _, i := range []int{2, 0} {
			in.answer(i, 5)
			in.answer(i, 6) // a second word for the same partition counts for nothing
			synctest.Wait()
			if got := heard.heard(); len(got) > 0 {
				t.Fatal("answered while a partition is open")
			}
		}
		in.answer(1, 5)
		synctest.Wait()
		if got := heard.heard(); !slices.Equal(got, []int32{1}) {
			t.Fatalf("heard %v after all partitions were answered", got)
		}
	})
}

func TestPartitionsAreHandedOnInTheOrderOfTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newHeld()
		client, _, _ := pipe(t, Config{}, in, in)
		want := []int32{2, 0, 1, 0, 2}
		go client.Write(append(frame(1, produceOf(9, -1, "t", want[:3]...)), frame(2, produceOf(9, -1, "t", want[3:]...))...))
		synctest.Wait()
		var got []int32
		for _, r := range in.asked {
			got = append(got, r.TopicPartition.Partition)
			if !slices.Equal(r.Records, recordBatch(1, []byte("payload"))) || r.Acks != -1 || r.TopicPartition.Topic != "t" {
				t.Errorf("handed on: %+v", r.Request)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("handed on as %v, want %v", got, want)
		}
	})
}

func TestReadingIsHeldWhileTooManyRequestsAreOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newHeld()
		client, _, _ := pipe(t, Config{MaxInFlight: 2}, in, in)
		heard := listen(t, client)
		go func() {
			for i := range int32(6) {
				client.Write(frame(i, produceOf(7, -1, "t", 0)))
			}
		}()
		for answered := range 4 {
			synctest.Wait()
			if got := in.count(); got != answered+2 {
				t.Fatalf("%d requests were taken with %d answered, want 2 open", got, answered)
			}
			in.answer(answered, 0)
		}
		synctest.Wait()
		in.answer(4, 0)
		in.answer(5, 0)
		synctest.Wait()
		if got := heard.heard(); len(got) != 6 {
			t.Errorf("answers %v, want six", got)
		}
	})
}

func TestReadingIsHeldWhileTooManyBytesAreOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newHeld()
		client, s, stop := pipe(t, Config{MaxInFlightBytes: 100}, in, in) // less than one request
		heard := listen(t, client)
		go func() {
			for i := range int32(3) {
				client.Write(frame(i, produceOf(7, -1, "t", 0)))
			}
		}()
		synctest.Wait()
		if got := in.count(); got != 1 {
			t.Fatalf("%d requests were taken, want 1 and the others held", got)
		}
		if st := s.Stats(); st.HeldReads != 1 || st.OpenBytes < 100 {
			t.Errorf("held reads %d with %d bytes open", st.HeldReads, st.OpenBytes)
		}
		in.answer(0, 0)
		synctest.Wait()
		if got := in.count(); got != 2 {
			t.Fatalf("%d requests were taken after one was answered, want 2", got)
		}
		stop() // while reading is held: the request that waits is not taken, the open one is answered
		synctest.Wait()
		in.answer(1, 0)
		synctest.Wait()
		if got := heard.heard(); !slices.Equal(got, []int32{0, 1}) || !heard.ended || in.count() != 2 {
			t.Errorf("heard %v, ended %t, %d taken; want 0 and 1, the end, and two taken", got, heard.ended, in.count())
		}
	})
}

func TestOpenRequestsAreAnsweredAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newHeld()
		client, _, stop := pipe(t, Config{}, in, in)
		heard := listen(t, client)
		client.Write(frame(1, produceOf(7, -1, "t", 0)))
		client.Write(frame(2, produceOf(7, -1, "t", 0)))
		client.Write(frame(3, produceOf(7, -1, "t", 0))[:20]) // half a request
		synctest.Wait()
		stop()
		synctest.Wait()
		if heard.ended {
			t.Fatal("the connection ended with open requests")
		}
		in.answer(1, 0)
		in.answer(0, 0)
		synctest.Wait()
		if got := heard.heard(); !slices.Equal(got, []int32{1, 2}) || !heard.ended {
			t.Errorf("heard %v, ended %t", got, heard.ended)
		}
		if in.count() != 2 {
			t.Errorf("%d requests were taken, want the two whole ones", in.count())
		}
	})
}

func TestClientThatDoesNotReadIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newHeld()
		client, _, _ := pipe(t, Config{WriteTimeout: 7 * time.Second}, in, in)
		client.Write(frame(1, kmsg.NewPtrMetadataRequest()))
		synctest.Wait()
		<-time.After(8 * time.Second) // by the bubble's clock
		synctest.Wait()
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read: %v, want the end", err)
		}
	})
}

func TestLateResultsAfterTheConnectionIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newHeld()
		client, s, _ := pipe(t, Config{}, in, in)
		client.Write(frame(1, produceOf(7, -1, "t", 0)))
		synctest.Wait()
		client.Close()
		synctest.Wait()
		in.answer(0, 0)
		if open := s.Stats().OpenBytes; open != 0 {
			t.Errorf("%d bytes stay open", open)
		}
	})
}

func TestUndecidedRequestClosesWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newHeld()
		client, _, _ := pipe(t, Config{}, in, in)
		heard := listen(t, client)
		client.Write(frame(1, produceOf(7, -1, "t", 0)))
		client.Write(frame(2, produceOf(7, -1, "t", 0, 1)))
		client.Write(frame(3, produceOf(7, -1, "t", 0)))
		synctest.Wait()
		in.answer(3, 0)
		in.answer(2, 0)
		in.asked[1].done(ingest.Result{Close: true})
		in.answer(0, 0)
		synctest.Wait()
		if got := heard.heard(); !slices.Equal(got, []int32{1}) || !heard.ended {
			t.Errorf("heard %v, ended %t; want the first answer and the end", got, heard.ended)
		}
	})
}

func TestRefusedRecordsWithoutAcksCloseTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newHeld()
		client, _, _ := pipe(t, Config{}, in, in)
		heard := listen(t, client)
		client.Write(frame(1, produceOf(7, 0, "t", 0)))
		client.Write(frame(2, produceOf(7, 1, "t", 0)))
		client.Write(frame(3, produceOf(7, 0, "t", 0)))
		synctest.Wait()
		in.answer(0, 0) // taken: nothing is said
		in.answer(1, 0)
		synctest.Wait()
		if got := heard.heard(); !slices.Equal(got, []int32{2}) || heard.ended {
			t.Fatalf("heard %v, ended %t; want the answer to acks=1 alone", got, heard.ended)
		}
		in.asked[2].done(ingest.Result{Code: 87})
		synctest.Wait()
		if got := heard.heard(); len(got) != 1 || !heard.ended {
			t.Errorf("heard %v, ended %t; want the end", got, heard.ended)
		}
	})
}
