package ingest_test

import (
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ingest"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is an intake with a real log on a disk in memory.
type house struct {
	t    *testing.T
	fs   *vfs.Mem
	in   *ingest.Intake
	book *delivery.Book
	log  *wal.Log

	cluster func() *catalog.Cluster
	policy  ingest.Policy
	room    func() (left, of int64)
	later   time.Duration // added to the clock
}

func (h *house) tick() { h.later += time.Second }

func newHouse(t *testing.T, fs *vfs.Mem, maxSize int64) *house {
	t.Helper()
	h := &house{t: t, fs: fs, book: delivery.New()}
	look := &catalog.Cluster{ID: "c", Topics: map[string]*catalog.Topic{
		"orders": {Name: "orders", Partitions: make([]catalog.Partition, 2), Config: catalog.TopicConfig{MaxMessageBytes: 10000}},
	}}
	h.cluster = func() *catalog.Cluster { return look }
	h.in = ingest.New(ingest.Config{
		Confirmations: h.book, HoldFor: 10 * time.Millisecond,
		Policy:  func(topic string) (ingest.Policy, bool) { return h.policy, topic != "secret" },
		Cluster: h.cluster,
		Now:     func() time.Time { return time.Now().Add(h.later) },
		Room: func() (int64, int64) {
			if h.room == nil {
				return -1, 0
			}
			return h.room()
		},
	})
	var err error
	h.log, _, err = wal.Open(wal.Config{FS: fs, Dir: "/d", MaxSize: maxSize, Books: []wal.Book{h.book, h.in}})
	if err != nil {
		t.Fatal(err)
	}
	h.in.Attach(h.log)
	return h
}

func (h *house) close() {
	h.t.Helper()
	if err := h.log.Close(); err != nil {
		h.t.Fatal(err)
	}
}

// produce hands in one batch and returns a function that waits for its result.
func (h *house) produce(topic string, records []byte) func() ingest.Result {
	ch := make(chan ingest.Result, 2)
	h.in.Produce(ingest.Request{TopicPartition: streamdown.TopicPartition{Topic: topic}, Records: records, Acks: -1}, func(r ingest.Result) { ch <- r })
	return func() ingest.Result {
		h.t.Helper()
		select {
		case r := <-ch:
			return r
		case <-time.After(2 * time.Minute):
			h.t.Fatal("no answer")
			return ingest.Result{}
		}
	}
}

func records(t *testing.T, pid int64, epoch int16, seq int32, values ...string) []byte {
	t.Helper()
	var b batch.Builder
	for _, v := range values {
		b.Append(time.Now().UnixMilli(), nil, []byte(v))
	}
	out, err := b.Build(batch.None, batch.Stamp{ProducerID: pid, Epoch: epoch, BaseSequence: seq})
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), out...)
}

func (h *house) stored() (bodies int) {
	// Who waits is answered a moment before the durable end moves: let another entry pass first.
	e := wal.Entry{Kind: wal.KindTopic}
	if _, err := h.log.Append(&e); err != nil {
		h.t.Fatal(err)
	}
	if err := h.log.Wait(h.t.Context(), e.End()); err != nil {
		h.t.Fatal(err)
	}
	var c wal.Chunk
	for at := streamdown.LSN(64); at < h.log.Durable(); at = c.Next {
		if err := h.log.Read(&c, at); err != nil {
			h.t.Fatal(err)
		}
		for _, e := range c.Entries {
			if e.Kind == wal.KindBatch {
				bodies++
			}
		}
	}
	return bodies
}

func TestRetriesAreRecognizedAlsoAfterARestart(t *testing.T) {
	fs := vfs.NewMem()
	h := newHouse(t, fs, 0)
	var sent [][]byte
	for i := range 8 {
		b := records(t, 77, 0, int32(2*i), "a", "b")
		sent = append(sent, b)
		if r := h.produce("orders", b)(); r.Code != 0 || r.Base != streamdown.Offset(2*i) {
			t.Fatalf("batch %d: %+v", i, r)
		}
	}
	for restart := range 2 {
		for i, b := range sent {
			want := int16(0)
			if i < 3 {
				want = 45 // older than the last five, as in Kafka
			}
			if r := h.produce("orders", b)(); r.Code != want {
				t.Fatalf("restart %d, retry of batch %d: %+v, want code %d", restart, i, r, want)
			}
		}
		other := records(t, 77, 0, 14, "x", "y")
		if r := h.produce("orders", other)(); r.Code != 45 {
			t.Fatalf("other content under a used sequence: %+v", r)
		}
		if r := h.produce("orders", records(t, 77, 0, 20, "gap"))(); r.Code != 45 {
			t.Fatalf("a gap: %+v", r)
		}
		if n := h.stored(); n != len(sent) {
			t.Fatalf("%d batches in the log, want %d", n, len(sent))
		}
		h.close()
		h = newHouse(t, fs, 0)
	}
	if r := h.produce("orders", records(t, 77, 1, 5, "no"))(); r.Code != 45 {
		t.Fatalf("a new epoch that does not begin at 0: %+v", r)
	}
	if r := h.produce("orders", records(t, 77, 1, 0, "yes"))(); r.Code != 0 || r.Base != 16 {
		t.Fatalf("a new epoch: %+v", r)
	}
	if r := h.produce("orders", sent[7])(); r.Code != 47 {
		t.Fatalf("the old epoch: %+v", r)
	}
	h.close()
}

// TestARetryWaitsForItsOriginal holds the disk: neither the original nor its repeat may be answered before it is written.
func TestARetryWaitsForItsOriginal(t *testing.T) {
	fs := vfs.NewMem()
	h := newHouse(t, fs, 0)
	if r := h.produce("orders", records(t, 5, 0, 0, "first"))(); r.Code != 0 {
		t.Fatal(r)
	}
	release := make(chan struct{})
	reached := make(chan struct{})
	var once sync.Once
	fs.Inject(func(op vfs.Op, _ string) error {
		if op == vfs.OpSync {
			once.Do(func() { close(reached); <-release })
		}
		return nil
	})
	b := records(t, 5, 0, 1, "second")
	answered := make(chan ingest.Result, 2)
	for range 2 {
		h.in.Produce(ingest.Request{TopicPartition: streamdown.TopicPartition{Topic: "orders"}, Records: b}, func(r ingest.Result) { answered <- r })
	}
	<-reached
	select {
	case r := <-answered:
		t.Fatalf("answered before it was durable: %+v", r)
	default:
	}
	close(release)
	for range 2 {
		if r := <-answered; r.Code != 0 || r.Base != 1 {
			t.Fatalf("%+v", r)
		}
	}
	if n := h.stored(); n != 2 {
		t.Fatalf("%d batches in the log, want 2", n)
	}
	if s := h.in.Stats(); s.Repeated != 1 || s.Acked != 2 {
		t.Fatalf("%+v", s)
	}
	h.close()
}

func TestWhatIsRefusedNeverReachesTheLog(t *testing.T) {
	h := newHouse(t, vfs.NewMem(), 0)
	rotten := records(t, -1, -1, -1, "rotten")
	rotten[len(rotten)-1] ^= 1
	for name, c := range map[string]struct {
		topic string
		b     []byte
		code  int16
	}{
		"no stream":     {"secret", records(t, -1, -1, -1, "x"), 29},
		"unknown topic": {"users", records(t, -1, -1, -1, "x"), 3},
		"rotten":        {"orders", rotten, 2},
		"too large":     {"orders", records(t, -1, -1, -1, string(make([]byte, 20000))), 10},
		"nothing":       {"orders", nil, 87},
	} {
		if r := h.produce(c.topic, c.b)(); r.Code != c.code {
			t.Errorf("%s: %+v, want code %d", name, r, c.code)
		}
	}
	if n := h.stored(); n != 0 {
		t.Fatalf("%d batches in the log", n)
	}
	h.close()
}

func TestFullLogHoldsThenRefuses(t *testing.T) {
	h := newHouse(t, vfs.NewMem(), 300_000) // most of it is the reserve
	var last ingest.Result
	n := 0
	for last.Code == 0 && n < 300 {
		last = h.produce("orders", records(t, -1, -1, -1, string(make([]byte, 1000))))()
		n++
	}
	if last.Code != 56 || n < 10 || h.in.Stats().Held == 0 {
		t.Fatalf("batch %d: %+v, held %d", n, last, h.in.Stats().Held)
	}
	if r := h.produce("orders", records(t, 7, 0, 0, string(make([]byte, 5000))))(); !r.Close {
		t.Fatalf("an idempotent producer: %+v, want the connection closed", r)
	}
	h.close()
}

// Rule A4: what the writer was given waits; only what it was not given may be refused, and nobody waits for ever.
func TestADiskThatTakesNothingRefusesOnlyWhatItWasNotGiven(t *testing.T) {
	disk := vfs.NewMem()
	h := newHouse(t, disk, 0)
	disk.Inject(func(op vfs.Op, _ string) error {
		if op.Changes() {
			return syscall.EIO
		}
		return nil
	})
	body := records(t, -1, -1, -1, string(make([]byte, 8000)))
	var waiting []func() ingest.Result
	refused := 0
	for refused < 3 {
		ended := make(chan ingest.Result, 1)
		h.in.Produce(ingest.Request{TopicPartition: streamdown.TopicPartition{Topic: "orders"}, Acks: 1, Records: body}, func(r ingest.Result) { ended <- r })
		select {
		case r := <-ended:
			if r.Code != 56 {
				t.Fatalf("%+v", r)
			}
			refused++
		default:
			waiting = append(waiting, func() ingest.Result { return <-ended })
		}
		if len(waiting) > 5000 {
			t.Fatal("nothing bounds what waits")
		}
	}
	disk.Inject(nil)
	for i, wait := range waiting {
		if r := wait(); r.Code != 0 {
			t.Fatalf("batch %d of %d: %+v", i, len(waiting), r)
		}
	}
	if n := h.stored(); n != len(waiting) {
		t.Fatalf("%d batches in the log, %d were acknowledged", n, len(waiting))
	}
	h.close()
}

func TestRemoteAckWaitsForTheTargetWhileCaughtUp(t *testing.T) {
	h := newHouse(t, vfs.NewMem(), 0)
	h.policy = ingest.Policy{Remote: true, Patience: time.Hour}
	h.book.SetUp(true)
	wait := h.produce("orders", records(t, -1, -1, -1, "x"))
	h.stored()
	h.book.Confirm(0, 1, 501)
	if r := wait(); r.Base != 500 {
		t.Fatalf("%+v", r)
	}
	wait = h.produce("orders", records(t, -1, -1, -1, "y"))
	h.book.SetUp(false) // the target went away: who waits is told at once, and the record is safe here
	if r := wait(); r.Code != 0 || r.Base != 501 || h.in.Stats().LocalOnly != 1 {
		t.Fatalf("%+v, %+v", r, h.in.Stats())
	}
	h.policy.RejectIsolated = true
	if r := h.produce("orders", records(t, -1, -1, -1, "z"))(); r.Code != 19 {
		t.Fatalf("when_isolated: reject: %+v", r)
	}
	h.close()
}

func TestStoppedIntakeAdmitsNothing(t *testing.T) {
	h := newHouse(t, vfs.NewMem(), 0)
	h.in.Stop()
	if r := h.produce("orders", records(t, -1, -1, -1, "x"))(); !r.Close {
		t.Fatalf("%+v", r)
	}
	h.close()
	if _, err := h.log.Append(&wal.Entry{Kind: wal.KindBatch}); !errors.Is(err, wal.ErrClosed) {
		t.Fatal(err)
	}
}
