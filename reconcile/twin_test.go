package reconcile_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ledger"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a target in memory: partitions of stored batches.
type shelf map[streamdown.TopicPartition]*partition

type partition struct {
	pin     reconcile.Pin
	batches [][]byte // with base offsets, rising
	walks   int
}

func (s shelf) Pin(_ context.Context, tp streamdown.TopicPartition) (reconcile.Pin, error) {
	p := s[tp]
	if p == nil {
		return reconcile.Pin{}, fmt.Errorf("%s: %w", tp, reconcile.ErrNoTopic)
	}
	return p.pin, nil
}

func (s shelf) Walk(_ context.Context, tp streamdown.TopicPartition, _ streamdown.ID, from, to streamdown.Offset, fn func(streamdown.Offset, []byte) error) error {
	p := s[tp]
	p.walks++
	for _, raw := range p.batches {
		base, end := extent(raw)
		if end <= from || end <= p.pin.Start || base >= to {
			continue
		}
		if err := fn(base, raw); err != nil {
			return fmt.Errorf("walk: %w", err)
		}
	}
	return nil
}

func extent(raw []byte) (base, end streamdown.Offset) {
	h, err := batch.ParseHeader(raw)
	if err != nil {
		panic(err)
	}
	return streamdown.Offset(h.BaseOffset), streamdown.Offset(h.BaseOffset) + streamdown.Offset(h.LastOffsetDelta) + 1
}

// store appends a copy of a batch at the partition's end.
func (p *partition) store(raw []byte) {
	raw = slices.Clone(raw)
	binary.BigEndian.PutUint64(raw, uint64(p.pin.End))
	p.batches = append(p.batches, raw)
	_, p.pin.End = extent(raw)
}

// twin is a log and a target that was fed from it.
type twin struct {
	t    testing.TB
	fs   *vfs.Mem
	log  *wal.Log
	book *delivery.Book
	keep *ledger.Keeper
	sums bool // the ledger gets digests
	to   shelf
	next map[streamdown.LaneID]streamdown.Ordinal
	b    batch.Builder
	n    int
}

const pid = 4711

func newTwin(t testing.TB, segment int64) *twin {
	w := &twin{t: t, fs: vfs.NewMem(), to: shelf{}, next: map[streamdown.LaneID]streamdown.Ordinal{}}
	w.open(segment)
	return w
}

func (w *twin) open(segment int64) {
	w.book = delivery.New()
	var err error
	w.keep = ledger.New(ledger.Config{FS: w.fs, Dir: "/d/ledger", LogDir: "/d", State: delivery.New(), Digest: func(streamdown.LaneID) bool { return w.sums }})
	if w.log, _, err = wal.Open(wal.Config{FS: w.fs, Dir: "/d", SegmentSize: segment, Books: []wal.Book{w.book, w.keep}}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.keep.Open(w.log); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.log.Close() })
}

func (w *twin) append(e *wal.Entry) streamdown.LSN {
	w.t.Helper()
	if _, err := w.log.Append(e); err != nil {
		w.t.Fatal(err)
	}
	if err := w.log.Wait(w.t.Context(), e.End()); err != nil {
		w.t.Fatal(err)
	}
	return e.LSN
}

func (w *twin) lane(tp streamdown.TopicPartition) streamdown.LaneID {
	w.t.Helper()
	id, err := w.log.Lane(tp)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// item is one batch as the log holds it.
type item struct {
	tp      streamdown.TopicPartition
	ordinal streamdown.Ordinal
	count   int
	raw     []byte
	lsn     streamdown.LSN
}

func (w *twin) records(n int, add func(ts int64, key, value []byte)) {
	for range n {
		w.n++
		add(1700000000000+int64(w.n), fmt.Appendf(nil, "key %d", w.n), fmt.Appendf(nil, "value number %d of the twin", w.n))
	}
}

// accept puts a batch of n records into the log.
func (w *twin) accept(tp streamdown.TopicPartition, n int, codec batch.Codec) item {
	w.t.Helper()
	w.records(n, func(ts int64, key, value []byte) {
		w.b.Append(ts, key, value, batch.RecordHeader{Key: []byte("h"), Value: key})
	})
	raw, err := w.b.Build(codec, batch.NoStamp)
	if err != nil {
		w.t.Fatal(err)
	}
	id := w.lane(tp)
	it := item{tp: tp, ordinal: w.next[id], count: n, raw: slices.Clone(raw)}
	it.lsn = w.append(&wal.Entry{Kind: wal.KindBatch, Lane: id, Ordinal: it.ordinal, Count: int32(n), Body: it.raw})
	w.next[id] += streamdown.Ordinal(n)
	return it
}

func (w *twin) partition(tp streamdown.TopicPartition) *partition {
	if w.to[tp] == nil {
		w.to[tp] = &partition{pin: reconcile.Pin{Cluster: "c", Topic: streamdown.ID{1}}}
	}
	return w.to[tp]
}

// bind gives the lane an identity from its record base on.
func (w *twin) bind(tp streamdown.TopicPartition, epoch int16, base streamdown.Ordinal) {
	w.t.Helper()
	p := w.partition(tp)
	w.append(delivery.BindingEntry(delivery.Binding{
		Lane: w.lane(tp), Cluster: p.pin.Cluster, Topic: p.pin.Topic, PID: pid, Epoch: epoch, Base: base, End: p.pin.End,
	}))
}

// stamped is the batch as it is sent under the lane's binding.
func (w *twin) stamped(it item) []byte {
	bind := w.book.Lane(w.lane(it.tp)).Binding
	raw := slices.Clone(it.raw)
	batch.Restamp((*[batch.HeaderSize]byte)(raw), it.raw, batch.Stamp{ProducerID: bind.PID, Epoch: bind.Epoch, BaseSequence: bind.Sequence(it.ordinal)})
	return raw
}

func (w *twin) send(items ...item) {
	for _, it := range items {
		w.partition(it.tp).store(w.stamped(it))
	}
}

// confirm writes down that all of the lane's records below to are at the target.
func (w *twin) confirm(tp streamdown.TopicPartition, to streamdown.Ordinal) {
	w.t.Helper()
	w.book.Confirm(w.lane(tp), to, w.partition(tp).pin.End)
	if e := w.book.ProgressEntry(w.log.Durable()); e != nil {
		w.append(e)
	}
}

func (w *twin) confirmAll() {
	for id, to := range w.next {
		tp, _ := w.log.LaneName(id)
		w.confirm(tp, to)
	}
}

// noise is a batch of somebody else.
func (w *twin) noise(tp streamdown.TopicPartition) {
	w.records(2, func(ts int64, key, value []byte) { w.b.Append(ts, key, value) })
	raw, err := w.b.Build(batch.None, batch.Stamp{ProducerID: 99, Epoch: 0, BaseSequence: 5})
	if err != nil {
		w.t.Fatal(err)
	}
	w.partition(tp).store(raw)
}

func (w *twin) run(window int) *reconcile.Report {
	w.t.Helper()
	return w.with(reconcile.Config{Window: window})
}

// runLedger is run with the ledger.
func (w *twin) runLedger(window int) *reconcile.Report {
	w.t.Helper()
	return w.with(reconcile.Config{Window: window, Ledger: w.ledger()})
}

func (w *twin) ledger() *ledger.Reader {
	w.t.Helper()
	if err := w.keep.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	r, err := ledger.OpenReader(w.fs, "/d/ledger", w.log.FilesID())
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// release lets the log forget all that the ledger has, behind enough of another topic.
func (w *twin) release() {
	w.t.Helper()
	other := streamdown.TopicPartition{Topic: "zfiller"}
	if w.to[other] == nil {
		w.bind(other, 0, 0)
	}
	before, after := w.log.Stats().First, w.log.Durable()
	for w.log.Stats().First < after {
		for range 10 {
			w.send(w.accept(other, 1, batch.None))
		}
		w.confirm(other, w.next[w.lane(other)])
		w.ledger()
		if _, err := w.log.Release(min(w.keep.Floor(), w.log.Durable())); err != nil {
			w.t.Fatal(err)
		}
	}
	if w.log.Stats().First == before {
		w.t.Fatal("nothing was released")
	}
}

func (w *twin) with(cfg reconcile.Config) *reconcile.Report {
	w.t.Helper()
	r, err := wal.OpenReader(w.fs, "/d")
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	cfg.Log, cfg.Topic = r, w.to
	rep, err := reconcile.Run(w.t.Context(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	var sum int64
	for _, v := range []reconcile.Verdict{
		reconcile.Identical, reconcile.Rewritten, reconcile.Late, reconcile.Pending, reconcile.NotComparable, reconcile.Reordered, reconcile.Altered, reconcile.Absent,
	} {
		sum += rep.Total.Of(v).Records
	}
	if sum != rep.Total.Accepted || rep.Total.Compared > rep.Total.Accepted {
		w.t.Fatalf("the verdicts sum up to %d of %d records accepted, %d compared", sum, rep.Total.Accepted, rep.Total.Compared)
	}
	return rep
}

// change damages a stored batch in place and makes its checksum right again.
func change(raw []byte, f func(raw []byte)) {
	f(raw)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
}

// ledgerAsItIs is the ledger's reader without a flush.
func (w *twin) ledgerAsItIs() *ledger.Reader {
	w.t.Helper()
	r, err := ledger.OpenReader(w.fs, "/d/ledger", w.log.FilesID())
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}
