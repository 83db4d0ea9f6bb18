package wal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// A sent is an entry that was handed to the log.
type sent struct {
	wal.Entry
	chain uint64 // of this entry and all before it
}

// A violation is a broken promise.
type violation struct {
	kind string // lost, resurrected, or another word
	text string
}

func (v *violation) Error() string { return v.kind + ": " + v.text }

// A lab is a log on a memory disk, with all that was ever handed to it and all that was acknowledged, through any
// number of crashes. It runs within a bubble of testing/synctest: only one goroutine at a time has something to do, so
// the same seed gives the same run. Its own goroutine owns it; mu guards what the log's writer sees.
type lab struct {
	rng     *rand.Rand
	lag     *rand.Rand // how long an operation takes; drawn in the order of operations; mu guards it
	luck    *rand.Rand // which operations fail, and how; the disk's lock guards it
	plant   *plant     // what is wrong on purpose; nil = nothing
	disk    *vfs.Mem
	segment int64
	refuge  string // the second directory; empty = none

	log     *wal.Log
	book    *ledger
	driving atomic.Bool // the driver itself uses the disk: it must not wait there while it holds a lock of the log
	letting atomic.Bool // a release uses it: the same is true of what only looks
	chunk   wal.Chunk

	mu     sync.Mutex // guards the following
	sent   []sent     // in the order they were handed over; what a crash took is taken out
	acked  int        // of sent: what a book saw, in this life or an earlier one
	lanes  []streamdown.TopicPartition
	named  int // of lanes: what was acknowledged
	wrong  *violation
	serial int64                // of the last entry ever handed over; none is used twice
	next   []streamdown.Ordinal // by lane
	trace  uint64               // of all operations

	scarce  bool // the disk was full in this life
	clean   bool // the last life ended with Close, which worked
	floor   int  // of sent: Release was asked for what lies below
	gaveUp  bool // a sync of the directory failed
	crashes int
	retries int // commits that met a fault
	entries int // acknowledged
	cut     int // recoveries that said they cut something
	full    int // batches that were refused for want of room
	did     did
}

// did counts what a log did of that which it does seldom: a simulation in which it never happens shows nothing.
type did struct{ over, reserve, refuge, back int }

// count looks at an operation.
func (d *did) count(op vfs.Op, name string) {
	if op != vfs.OpRename || !strings.Contains(name, ".wal") {
		return
	}
	switch {
	case strings.Contains(name, "/spare-"):
		d.over++
	case strings.Contains(name, "/reserve-"):
		d.reserve++
	case strings.HasPrefix(name, "/r/"):
		d.refuge++
	}
}

func (d *did) add(more did) {
	d.over, d.reserve, d.refuge, d.back = d.over+more.over, d.reserve+more.reserve, d.refuge+more.refuge, d.back+more.back
}

// step is what a trace is made of.
type step struct {
	before uint64
	op     vfs.Op
	name   string
}

var traceSeed = maphash.MakeSeed()

// ledger is the book of the lab: it compares every entry it is shown with what was handed over.
type ledger struct {
	lab   *lab
	n     int // entries applied, ever
	chain uint64
	lanes int
}

func (b *ledger) BookID() byte { return 99 }

func (b *ledger) Apply(e *wal.Entry) {
	l := b.lab
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case e.Kind == wal.KindMark:
		return
	case e.Kind == wal.KindLane:
		b.lanes++
		return
	case b.n >= len(l.sent):
		l.failLocked("resurrected", "entry %d at %d was shown; only %d are known", e.Arrival, e.LSN, len(l.sent))
		return
	}
	if want := &l.sent[b.n]; !want.is(e) {
		kind := "resurrected"
		for i := range l.sent {
			if l.sent[i].is(e) {
				kind = "order"
				if i > b.n && b.n < l.acked {
					kind = "lost"
				}
			}
		}
		l.failLocked(kind, "entry %d at %d was shown in place of entry %d at %d", e.Arrival, e.LSN, want.Arrival, want.LSN)
		return
	}
	b.chain = l.sent[b.n].chain
	b.n++
}

func (b *ledger) Snapshot(dst []byte) []byte {
	b.lab.mu.Lock()
	defer b.lab.mu.Unlock()
	n, chain := b.n, b.chain
	if p := b.lab.plant; p != nil && p.pending && len(b.lab.sent) > 0 {
		n, chain = len(b.lab.sent), b.lab.sent[len(b.lab.sent)-1].chain
	}
	dst = binary.LittleEndian.AppendUint64(dst, uint64(n)) //nolint:gosec // not negative
	dst = binary.LittleEndian.AppendUint64(dst, chain)
	return binary.LittleEndian.AppendUint32(dst, uint32(b.lanes)) //nolint:gosec // few
}

func (b *ledger) Restore(s []byte) error {
	if len(s) != 20 {
		return errors.New("bad ledger")
	}
	l := b.lab
	l.mu.Lock()
	defer l.mu.Unlock()
	b.n, b.chain = int(binary.LittleEndian.Uint64(s)), binary.LittleEndian.Uint64(s[8:]) //nolint:gosec // as written
	b.lanes = int(binary.LittleEndian.Uint32(s[16:]))
	if b.n > len(l.sent) || b.n > 0 && l.sent[b.n-1].chain != b.chain {
		l.failLocked("resurrected", "a state of %d entries was restored that is not one of the %d known", b.n, len(l.sent))
		b.n = min(b.n, len(l.sent))
	}
	return nil
}

func (s *sent) is(e *wal.Entry) bool {
	return s.LSN == e.LSN && s.Kind == e.Kind && s.Lane == e.Lane && s.Ordinal == e.Ordinal && s.Count == e.Count &&
		s.Arrival == e.Arrival && bytes.Equal(s.Body, e.Body)
}

func (l *lab) failLocked(kind, format string, args ...any) {
	if l.wrong == nil {
		l.wrong = &violation{kind, fmt.Sprintf(format, args...)}
	}
}

func (l *lab) fail(kind, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failLocked(kind, format, args...)
}

func (l *lab) broken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wrong != nil
}

// bodies are what entries hold: noise, zeros, and batches for the kind that must hold one.
var bodies = sync.OnceValue(func() (b struct{ noise, zeros, batches [][]byte }) {
	rng := rand.New(rand.NewPCG(1, 1))
	var build batch.Builder
	for i := range 24 {
		noise := make([]byte, []int{0, 1, 7, 8, 9, 40, 130, 300}[i%8])
		for j := range noise {
			noise[j] = byte(rng.Uint32())
		}
		b.noise = append(b.noise, noise)
		b.zeros = append(b.zeros, make([]byte, []int{64, 200, 700}[i%3]))
		for range 1 + i%3 {
			build.Append(int64(i), []byte("key"), noise)
		}
		raw, err := build.Build(batch.None, batch.NoStamp)
		if err != nil {
			panic(err)
		}
		b.batches = append(b.batches, bytes.Clone(raw)) // the builder reuses it
	}
	b.noise = append(b.noise, bytes.Repeat([]byte("large"), 700))
	return b
})

// newLab makes an empty disk. Everything that happens follows from the seed.
func newLab(seed uint64, p *plant) *lab {
	l := &lab{
		rng: rand.New(rand.NewPCG(seed, 1)), lag: rand.New(rand.NewPCG(seed, 2)), luck: rand.New(rand.NewPCG(seed, 3)),
		plant: p, disk: vfs.NewMem(), segment: 1000,
	}
	l.chunk.Buf = make([]byte, 16<<10)
	return l
}

// fs is the disk as the log sees it. Each operation of the writer takes a while, and so does each of a release that
// changes something, so that they meet each other and what the driver does.
func (l *lab) fs() vfs.FS {
	l.disk.Slow(func(op vfs.Op, name string) {
		l.mu.Lock()
		l.trace = maphash.Comparable(traceSeed, step{l.trace, op, name})
		l.did.count(op, name)
		wait := time.Duration(1 + l.lag.IntN(50_000))
		l.mu.Unlock()
		if *simTrace && op.Changes() {
			fmt.Printf("  %6d %s %s\n", l.disk.Ops()+1, op, name)
		}
		if !l.driving.Load() && (op.Changes() || !l.letting.Load()) {
			time.Sleep(wait)
		}
	})
	if l.plant != nil {
		return l.plant.disk(l.disk)
	}
	return l.disk
}

// drive calls f, which uses the disk, without waiting there.
func (l *lab) drive(f func()) {
	synctest.Wait() // the writer has come to rest, or sleeps in an operation
	l.driving.Store(true)
	f()
	l.driving.Store(false)
}

func (l *lab) config(b wal.Book) wal.Config {
	return wal.Config{FS: l.fs(), Dir: "/d", Refuge: l.refuge, SegmentSize: l.segment, Books: []wal.Book{b}}
}

// open opens the log and checks what came back. False: it could not be opened, because of a fault, or the power went.
func (l *lab) open() bool {
	l.book = &ledger{lab: l}
	var rec *wal.Recovery
	var err error
	l.drive(func() {
		l.log, rec, err = wal.Open(l.config(l.book))
	})
	l.say("open: %+v %v", rec, err)
	if err != nil {
		l.log = nil
		return false
	}
	if rec.Torn > 0 {
		l.cut++
		if l.clean {
			l.fail("torn", "the log was closed, and opening it says that %d bytes were cut off", rec.Torn)
		}
	}
	l.clean = false
	if len(rec.Damage) > 0 {
		l.fail("damage", "a crash was taken for rot: %v", rec.Damage[0])
	}
	l.recovered(l.book, rec.End)
	return true
}

// recovered compares what opening brought back with what was acknowledged, and forgets what the crash took: that must
// never be seen again.
func (l *lab) recovered(b *ledger, end streamdown.LSN) {
	names := l.log.LaneNames()
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.n < l.acked {
		l.failLocked("lost", "%d entries were acknowledged, %d came back", l.acked, b.n)
	}
	if len(names) != b.lanes || b.lanes < l.named || b.lanes > len(l.lanes) {
		l.failLocked("lost", "%d lanes were named, %d acknowledged, %d came back", len(l.lanes), l.named, b.lanes)
	}
	for i, tp := range names {
		if i < len(l.lanes) && l.lanes[i] != tp {
			l.failLocked("order", "lane %d is %s, was %s", i, tp, l.lanes[i])
		}
	}
	if b.n > 0 && end < l.sent[b.n-1].End() {
		l.failLocked("lsn", "the log goes on at %d, below its last entry's end %d", end, l.sent[b.n-1].End())
	}
	l.sent, l.acked = l.sent[:b.n], b.n
	l.lanes, l.named = l.lanes[:min(b.lanes, len(l.lanes))], b.lanes
	l.floor = min(l.floor, b.n)
	l.next = l.next[:len(l.lanes)]
	clear(l.next)
	for i := range l.sent {
		if e := &l.sent[i].Entry; e.Kind == wal.KindBatch {
			l.next[e.Lane] = e.Ordinal + streamdown.Ordinal(e.Count)
		}
	}
}

// note counts what was acknowledged so far.
func (l *lab) note() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.book.n > l.acked {
		l.entries += l.book.n - l.acked
		l.acked = l.book.n
	}
	l.named = max(l.named, l.book.lanes)
}

// append hands one entry to the log.
func (l *lab) append() {
	all := bodies()
	l.serial++
	e := wal.Entry{Kind: wal.KindTopic, Arrival: l.serial, Lane: streamdown.LaneID(l.rng.IntN(3)), Ordinal: streamdown.Ordinal(l.serial)}
	switch what := l.rng.IntN(4); {
	case what == 0 && len(l.lanes) > 0:
		l.batch(l.rng.IntN(len(l.lanes)), l.rng.IntN(len(all.batches)))
		return
	case what == 1:
		e.Body = all.zeros[l.rng.IntN(len(all.zeros))]
	default:
		e.Body = all.noise[l.rng.IntN(len(all.noise))]
	}
	l.hand(&e)
}

// batch hands the i-th of the batches to the log.
func (l *lab) batch(lane, i int) {
	l.serial++
	e := wal.Entry{
		Kind: wal.KindBatch, Arrival: l.serial, Lane: streamdown.LaneID(lane), Ordinal: l.next[lane], Count: int32(1 + i%3), //nolint:gosec // small
		Body: bodies().batches[i],
	}
	l.next[lane] += streamdown.Ordinal(e.Count)
	l.hand(&e)
}

func (l *lab) hand(e *wal.Entry) {
	lsn, err := l.log.Append(e)
	if errors.Is(err, wal.ErrFull) && (l.scarce || l.disk.Dead()) {
		if e.Kind == wal.KindBatch {
			l.next[e.Lane] -= streamdown.Ordinal(e.Count)
		} else {
			l.fail("refused", "an entry that is no batch: %v", err)
		}
		l.full++
		return
	}
	if err != nil {
		l.fail("refused", "append: %v", err)
		return
	}
	l.mu.Lock()
	var before uint64
	if n := len(l.sent); n > 0 {
		before = l.sent[n-1].chain
		if lsn < l.sent[n-1].End() {
			l.failLocked("lsn", "a new entry is at %d, where an entry to %d is", lsn, l.sent[n-1].End())
		}
	}
	l.say("append %d at %d to %d", l.serial, lsn, e.End())
	chain := (before ^ uint64(l.serial)*0x9e3779b97f4a7c15 ^ uint64(lsn)<<32) * 0xd6e8feb86659fd93 //nolint:gosec // a hash
	l.sent = append(l.sent, sent{*e, chain ^ chain>>29})
	l.mu.Unlock()
	synctest.Wait() // the writer takes what is there, or is in an operation and takes it later
}

// name names a lane that has none.
func (l *lab) name() {
	tp := streamdown.TopicPartition{Topic: fmt.Sprint("t", len(l.lanes)%5), Partition: int32(l.serial)} //nolint:gosec // small
	l.serial++
	l.mu.Lock()
	l.lanes, l.next = append(l.lanes, tp), append(l.next, 0)
	l.mu.Unlock()
	if id, err := l.log.Lane(tp); err != nil || int(id) != len(l.lanes)-1 {
		l.fail("order", "new lane %s is %d, %v", tp, id, err)
	}
	synctest.Wait()
}

// settle waits until all that was handed over is durable, or for a while.
func (l *lab) settle(ctx context.Context, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience+77*time.Nanosecond) // see calm
	defer cancel()
	l.mu.Lock()
	end := streamdown.LSN(0)
	if n := len(l.sent); n > 0 {
		end = l.sent[n-1].End()
	}
	l.mu.Unlock()
	return l.log.Wait(ctx, end) == nil
}

// release asks for the release of what lies below a random acknowledged entry.
func (l *lab) release() {
	l.note()
	l.floor += l.rng.IntN(l.acked - l.floor + 1)
	lsn := l.log.Durable()
	if l.floor < len(l.sent) {
		lsn = min(lsn, l.sent[l.floor].LSN)
	}
	l.say("release below %d", lsn)
	segments := l.log.Stats().Segments
	if p := l.plant; p != nil && p.early {
		lsn = l.log.Durable()
	}
	_ = l.let(lsn) // that it failed is no harm: it is asked for again
	if l.log.Stats().Segments < min(2, segments) {
		l.fail("state", "a release left one state only")
	}
}

// let releases while the writer goes on.
func (l *lab) let(lsn streamdown.LSN) (err error) {
	synctest.Wait()
	l.letting.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err = l.log.Release(lsn)
	}()
	<-done
	synctest.Wait()
	l.letting.Store(false)
	return err
}

// readBack reads all that was not released, as a carrier does, and compares it byte by byte.
func (l *lab) readBack() {
	l.note()
	i, n := l.floor, l.acked
	if i == n {
		return
	}
	l.drive(func() {
		at, durable := l.sent[i].LSN, l.log.Durable()
		for at < durable {
			if err := l.log.Read(&l.chunk, at); err != nil {
				if errors.Is(err, vfs.ErrCrashed) {
					return // the writer, at the same moment, met the end of the power
				}
				l.fail("lost", "entry %d: read at %d: %v", i, at, err)
				return
			}
			if l.chunk.Next <= at {
				l.fail("stuck", "read at %d, below the durable end %d, goes on at %d", at, durable, l.chunk.Next)
				return
			}
			at = l.chunk.Next
			for j := range l.chunk.Entries {
				switch e := &l.chunk.Entries[j]; {
				case e.Kind == wal.KindMark || e.Kind == wal.KindLane:
				case i >= n || !l.sent[i].is(e):
					l.fail("order", "entry %d at %d was read in place of the %d-th of %d", e.Arrival, e.LSN, i, n)
					return
				default:
					i++
				}
			}
		}
		if i != n {
			l.fail("lost", "%d entries are durable, %d were read", n, i)
		}
	})
}

// crash ends the process, or cuts the power: what is left of the disk is the new disk.
func (l *lab) crash() {
	synctest.Wait()
	var left *vfs.Mem
	if l.rng.IntN(3) == 0 {
		left = l.disk.Kill(l.rng.IntN(2) == 0)
	} else {
		left = l.disk.Crash(l.rng)
	}
	l.leave(left)
}

// leave goes on with another disk. What the old log does from here on happens to nobody.
func (l *lab) leave(left *vfs.Mem) {
	l.disk.Halt()
	if l.log != nil {
		l.note()
		l.retries += int(l.log.Stats().Failures) //nolint:gosec // few
		_ = l.log.Close()                        // says that the power is off
		l.log = nil
	}
	l.disk = left
	l.crashes++
	if *simTrace && left != nil {
		names, _ := left.List("/d")
		refuge, _ := left.List("/r")
		l.say("crash; acknowledged %d; left %v %v", l.acked, names, refuge)
	}
}

// say tells what happens, for a run that somebody looks at.
func (l *lab) say(format string, args ...any) {
	if *simTrace {
		fmt.Printf(format+"\n", args...)
	}
}
