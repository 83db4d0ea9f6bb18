package logformat

import (
	"bytes"
	"cmp"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ingest"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// A maker writes a log with the real books, the same bytes each time: on a disk in memory, in a bubble of time, with
// random numbers that are none.
type maker struct {
	t       *testing.T
	fs      *vfs.Mem
	log     *wal.Log
	book    *delivery.Book
	catalog *catalog.Catalog
	next    map[streamdown.LaneID]streamdown.Ordinal
	size    int64                // of segments; 0 = segmentSize
	keep    func(vfs.Op, string) // is told of operations, as fs.Slow does
}

const (
	dir, refuge = "/data", "/refuge"
	segmentSize = 4 << 10
)

func (m *maker) start() {
	m.t.Helper()
	m.book, m.catalog = delivery.New(), catalog.New()
	var err error
	m.log, _, err = wal.Open(wal.Config{
		FS: m.fs, Dir: dir, Refuge: refuge, SegmentSize: cmp.Or(m.size, segmentSize),
		Books: []wal.Book{m.book, ingest.New(ingest.Config{}), m.catalog},
	})
	m.must(err)
	m.must(m.log.Begin())
	m.settle()
}

func (m *maker) stop() {
	m.t.Helper()
	m.must(m.log.Close())
}

func (m *maker) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// settle waits until the writer has nothing to do. Time passes so little that it is not idle yet.
func (m *maker) settle() {
	synctest.Wait()
	time.Sleep(time.Millisecond)
}

// tell appends entries, each as a group.
func (m *maker) tell(entries ...*wal.Entry) {
	m.t.Helper()
	for _, e := range entries {
		_, err := m.log.Append(e)
		m.must(err)
		m.settle()
	}
}

// together appends entries: the first as a group, the others, which come while that one is synced, as the next.
func (m *maker) together(entries ...*wal.Entry) {
	m.t.Helper()
	reached, open := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.fs.Slow(func(op vfs.Op, name string) {
		if m.keep != nil {
			m.keep(op, name)
		}
		if op == vfs.OpSync {
			once.Do(func() { close(reached); <-open })
		}
	})
	for i, e := range entries {
		_, err := m.log.Append(e)
		m.must(err)
		if i == 0 {
			<-reached
		}
	}
	close(open)
	m.settle()
	m.fs.Slow(m.keep)
}

func (m *maker) lane(topic string, partition int32) streamdown.LaneID {
	m.t.Helper()
	id, err := m.log.Lane(streamdown.TopicPartition{Topic: topic, Partition: partition})
	m.must(err)
	m.settle()
	return id
}

// batch makes an entry of one record for each value.
func (m *maker) batch(lane streamdown.LaneID, codec batch.Codec, s batch.Stamp, values ...string) *wal.Entry {
	m.t.Helper()
	var b batch.Builder
	for i, v := range values {
		b.Append(time.Now().UnixMilli()+int64(i), []byte("key"), []byte(v))
	}
	raw, err := b.Build(codec, s)
	m.must(err)
	e := &wal.Entry{Kind: wal.KindBatch, Lane: lane, Ordinal: m.next[lane], Count: int32(len(values)), Body: bytes.Clone(raw)}
	m.next[lane] += streamdown.Ordinal(len(values))
	return e
}

// filler is a batch that fills a segment.
func (m *maker) filler(lane streamdown.LaneID) *wal.Entry {
	m.t.Helper()
	return m.batch(lane, batch.None, batch.Stamp{ProducerID: -1, Epoch: -1, BaseSequence: -1}, string(bytes.Repeat([]byte("filler "), 650)))
}

func topic(name string, id byte, partitions int, c catalog.TopicConfig) *catalog.Topic {
	return &catalog.Topic{
		Name: name, ID: streamdown.ID{id, 0, 0, 0, 0, 0, 0x40, 0, 0x80}, Partitions: make([]catalog.Partition, partitions), Config: c,
	}
}

func (m *maker) see(expiry time.Duration, topics ...*catalog.Topic) {
	m.t.Helper()
	look := &catalog.Cluster{ID: "4L6g3nShT-eMCtK--X86sw", Topics: map[string]*catalog.Topic{}, ProducerExpiry: expiry}
	for _, t := range topics {
		look.Topics[t.Name] = t
	}
	m.catalog.Update(look)
	m.tell(m.catalog.Entries()...)
}

func (m *maker) hold(h delivery.Hold) {
	m.t.Helper()
	h.Since = time.Now().UTC()
	e, err := delivery.HoldEntry(h)
	m.must(err)
	m.tell(e)
}

// aside puts a batch of a lane aside, and sends it again.
func (m *maker) aside(lane streamdown.LaneID, topic streamdown.ID, from, to streamdown.Ordinal) {
	m.t.Helper()
	q := delivery.Quarantined{
		Lane: lane, From: from, To: to, Log: m.log.ID().String(), Bytes: 80, Arrival: time.Now().UnixMilli(), At: time.Now().UTC(), Code: 87, Reason: "null keys",
		Cluster: "4L6g3nShT-eMCtK--X86sw", Topic: topic, PID: 4001, Epoch: 1, Sequence: 1, Offset: 78, Never: true,
	}
	e, err := delivery.QuarantineEntry(q, delivery.Binding{Lane: lane, Cluster: q.Cluster, Topic: topic, PID: q.PID, Epoch: 2, Base: to, End: 78})
	m.must(err)
	m.tell(e)
	q.Fate, q.Again, q.Settled, q.Base, q.By, q.Why = delivery.Late, &delivery.Again{PID: 4003, End: 90}, time.Now().UTC(), 91, "ann", "the topic is as it was"
	e, err = delivery.FateEntry(q)
	m.must(err)
	m.tell(e)
}

// prove notes a proof, and a repair of what it found.
func (m *maker) prove(lane streamdown.LaneID, topic streamdown.ID) {
	m.t.Helper()
	proof := reconcile.Noted{SHA256: strings.Repeat("5d", 32), Verdict: "violated", Accepted: 6, Compared: 6, At: time.Now().UTC()}
	noted, err := proof.Entry()
	m.must(err)
	repair := reconcile.Intent{Lane: lane, Topic: "orders", Partition: 1, Cluster: "4L6g3nShT-eMCtK--X86sw", TopicID: topic.String(), PID: 4002, From: 1, To: 3, End: 80}
	intent, err := repair.Entry()
	m.must(err)
	m.tell(noted, intent)
}

// story is a log with everything in it: three processes, of which the last two leave the segments that the page shows.
func (m *maker) story() {
	set := catalog.TopicConfig{
		Known: true, MaxMessageBytes: 1048588, BeforeMax: time.Hour, AfterMax: time.Hour, Retention: 7 * 24 * time.Hour, MinInSync: 2, Compacted: true, LogAppendTime: true, Compression: "producer",
	}
	orders, payments := topic("orders", 1, 2, set), topic("payments", 2, 1, catalog.DefaultTopicConfig())
	bind := func(lane streamdown.LaneID, epoch int16, base streamdown.Ordinal, end streamdown.Offset, id streamdown.ID) *wal.Entry {
		return delivery.BindingEntry(delivery.Binding{Lane: lane, Cluster: "4L6g3nShT-eMCtK--X86sw", Topic: id, PID: 4001, Epoch: epoch, Base: base, End: end})
	}
	idempotent := func(first int32) batch.Stamp { return batch.Stamp{ProducerID: 1 << 40, Epoch: 0, BaseSequence: first} }

	m.start() // the first: what the second finds
	m.see(24*time.Hour, orders)
	zero := m.lane("orders", 0)
	m.tell(bind(zero, 0, 0, 1000, orders.ID))
	m.tell(m.batch(zero, batch.None, idempotent(0), "one", "two"), m.batch(zero, batch.None, idempotent(2), "three"))
	m.hold(delivery.Hold{Target: "orders/0", Held: true, Reason: "the consumer is being repaired"})
	_, err := m.log.Renew()
	m.must(err)
	m.settle()
	m.stop()

	m.start() // the second: fills segments, lets the first of its own go, and writes over it
	one, two := m.lane("payments", 0), m.lane("audit", 3)
	m.aside(zero, orders.ID, 0, 2)
	m.tell(m.filler(two), m.filler(two), m.filler(two))
	m.tell(bind(one, 0, 0, 0, payments.ID), m.filler(two))
	segments := m.segments()
	_, err = m.log.Release(segments[len(segments)-2].First)
	m.must(err)
	m.settle()
	m.tell(m.batch(one, batch.None, idempotent(0), "in a segment that was written over"))
	m.stop()

	m.start() // the third: an entry of every kind
	m.see(24*time.Hour, orders, payments)
	m.see(48*time.Hour, orders)
	three := m.lane("orders", 1)
	m.tell(bind(three, 1, 0, 77, orders.ID))
	m.together(m.batch(three, batch.None, idempotent(0), "alone"), m.batch(three, batch.Gzip, idempotent(1), "two in", "one group"), m.batch(zero, batch.None, batch.Stamp{ProducerID: -1, Epoch: -1, BaseSequence: -1}, "third"))
	m.book.Confirm(three, 1, 78)
	m.book.Confirm(zero, 3, streamdown.NoOffset)
	m.book.Confirm(two, 1, 2000)
	m.tell(m.book.ProgressEntry(m.log.Durable()))
	m.hold(delivery.Hold{Target: "orders/0"})
	m.aside(three, orders.ID, 1, 3)
	m.prove(three, orders.ID)
	_, err = m.log.Renew()
	m.must(err)
	m.settle()
	time.Sleep(2 * time.Second) // idle: a mark alone
	m.stop()
}

// small makes the log of the page and returns its files: of the data directory and of the refuge.
func small(t *testing.T) (files, second map[string][]byte) {
	cryptotest.SetGlobalRandom(t, 1)
	fs := vfs.NewMem()
	synctest.Test(t, func(t *testing.T) {
		m := &maker{t: t, fs: fs, next: map[streamdown.LaneID]streamdown.Ordinal{}}
		m.story()
	})
	return contents(t, fs, dir), contents(t, fs, refuge)
}

func contents(t *testing.T, fs vfs.FS, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if files[name], err = vfs.ReadFile(fs, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
