package ingest

import (
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
)

// head is the header of a batch of three records of producer 7.
func head(epoch int16, seq int32) *batch.Header {
	return &batch.Header{ProducerID: 7, ProducerEpoch: epoch, BaseSequence: seq, LastOffsetDelta: 2, Count: 3, CRC: uint32(seq)}
}

// reopened is the lane as a crash leaves it that takes all that is pending.
func reopened(t *testing.T, l *lane) *lane {
	t.Helper()
	again := &lane{}
	if rest, err := again.restore(l.append(nil)); err != nil || len(rest) > 0 {
		t.Fatalf("restore: %d bytes left, %v", len(rest), err)
	}
	return again
}

// Without it a restart knows nothing of the producer and takes any sequence: the second of two batches in flight, when
// the first is refused for a moment (rule B2; G5).
func TestPendingBatchesDisplaceNoDurableOnes(t *testing.T) {
	l := &lane{}
	for i := range int32(6) {
		l.reserve(head(0, 3*i), waiting{since: time.UnixMilli(1)})
		l.settle(streamdown.Ordinal(3*i), 3, 1, nil)
	}
	for i := int32(6); i < 6+window; i++ {
		l.reserve(head(0, 3*i), waiting{since: time.UnixMilli(1)})
	}
	if n := len(l.rows[7].batches); n != 2*window {
		t.Errorf("the row remembers %d batches, want %d durable and %d pending", n, window, window)
	}
	again := reopened(t, l)
	for _, c := range []struct {
		seq  int32
		want verdict
	}{{0, outOfOrder}, {3, duplicate}, {15, duplicate}, {18, admit}, {21, outOfOrder}} {
		if got, _ := again.rows[7].judge(head(0, c.seq)); got != c.want {
			t.Errorf("after the crash sequence %d is judged %d, want %d", c.seq, got, c.want)
		}
	}
}

func TestPendingEpochDisplacesNoDurableOne(t *testing.T) {
	l := &lane{}
	l.reserve(head(0, 0), waiting{since: time.UnixMilli(1)})
	l.settle(0, 3, 1, nil)
	l.reserve(head(1, 0), waiting{since: time.UnixMilli(1)})
	if got, _ := l.rows[7].judge(head(0, 3)); got != staleEpoch {
		t.Errorf("the old epoch is judged %d while the new one is pending", got)
	}
	again := reopened(t, l)
	for _, c := range []struct {
		epoch int16
		seq   int32
		want  verdict
	}{{0, 0, duplicate}, {0, 3, admit}, {1, 0, admit}, {1, 3, outOfOrder}} {
		if got, _ := again.rows[7].judge(head(c.epoch, c.seq)); got != c.want {
			t.Errorf("after the crash epoch %d sequence %d is judged %d, want %d", c.epoch, c.seq, got, c.want)
		}
	}
	l.settle(3, 3, 1, nil)
	if n := len(l.rows[7].batches); n != 1 {
		t.Errorf("%d batches remembered once the new epoch is durable", n)
	}
}

// What all lanes remember together is bounded: a state that grew without bound could not be read back one day.
func TestAllLanesTogetherRememberSoManyProducersAndOldOnesMakeRoom(t *testing.T) {
	in := New(Config{})
	old := &lane{id: 1, total: &in.rows}
	in.lanes[1] = old
	old.reserve(head(0, 0), waiting{since: time.UnixMilli(1)})
	old.settle(0, 3, 1, nil)
	in.rows.Add(rowsInAll - 1)
	l := in.lane(2)
	now := time.UnixMilli(2 * freshMillis)
	if l.roomFor(8, now.UnixMilli()) {
		t.Fatal("one more than there may be")
	}
	in.sweep(now)
	if len(old.rows) != 0 || !l.roomFor(8, now.UnixMilli()) {
		t.Fatal("an old one in another lane does not make room")
	}
	again := New(Config{})
	if err := again.Restore(in.Snapshot(nil)); err != nil {
		t.Fatal(err)
	}
	if n := again.rows.Load(); n != 0 {
		t.Fatalf("%d producers after a restart", n)
	}
}
