package main

import (
	"sync"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/test/rescue"
)

// witness stands between a topic's producers, its reader and its checker. Where each partition has one producer, whose
// number is the partition's, it knows which records the checker counts. Of a record it keeps one bit.
type witness struct {
	*rescue.Journal
	checker *check.Checker
	parts   map[int32]*testimony // used by the reader's goroutine

	mu   sync.Mutex // guards the following
	sent map[check.Stream]uint64
}

// testimony is what was read of one partition.
type testimony struct {
	seen      []uint64 // a bit for each sequence
	next      uint64   // behind the highest sequence that was seen
	doubled   set
	reordered set
}

func newWitness(c *check.Checker) *witness {
	return &witness{Journal: rescue.NewJournal(c), checker: c, parts: map[int32]*testimony{}, sent: map[check.Stream]uint64{}}
}

// Sent implements load.Journal.
func (w *witness) Sent(stream check.Stream, seq uint64) {
	w.Journal.Sent(stream, seq)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent[stream] = max(w.sent[stream], seq+1)
}

// found is what the witness says of a partition, once all was read.
func (w *witness) found(partition int32) *claims {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.of(partition)
	return &claims{lost: *t.lost(w.sent[check.Stream{Producer: uint32(partition)}]), doubled: t.doubled, reordered: t.reordered} //nolint:gosec // not negative
}

// Seen implements reader.Judge. The checker is told directly: a bit for each record of a shared topic has no use here.
func (w *witness) Seen(tp streamdown.TopicPartition, offset streamdown.Offset, value []byte) {
	w.checker.Seen(tp, offset, value)
	r, err := check.ParseRecord(value)
	if err != nil {
		return // the checker has counted it
	}
	w.of(tp.Partition).see(r.Seq)
}

func (w *witness) of(partition int32) *testimony {
	t := w.parts[partition]
	if t == nil {
		t = &testimony{}
		w.parts[partition] = t
	}
	return t
}

func (t *testimony) see(seq uint64) {
	word, bit := seq/64, uint64(1)<<(seq%64)
	for uint64(len(t.seen)) <= word {
		t.seen = append(t.seen, 0)
	}
	switch {
	case t.seen[word]&bit != 0:
		t.doubled.add(seq, seq+1)
	case seq < t.next:
		t.reordered.add(seq, seq+1)
	}
	t.seen[word] |= bit
	t.next = max(t.next, seq+1)
}

// lost is what was sent and not seen: sequences below sent.
func (t *testimony) lost(sent uint64) *set {
	missing := &set{}
	for seq := uint64(0); seq < sent; seq++ {
		word := seq / 64
		if word < uint64(len(t.seen)) {
			if seq%64 == 0 && t.seen[word] == ^uint64(0) {
				seq += 63
				continue
			}
			if t.seen[word]&(1<<(seq%64)) != 0 {
				continue
			}
		}
		missing.add(seq, seq+1)
	}
	return missing
}
