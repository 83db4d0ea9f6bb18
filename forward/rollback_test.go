package forward

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// rolledBack is a lane of a log that held records 0 to 4 under producer id 7 and was opened then; with more set it was
// opened a second time, before a word with the target, when it held more.
func rolledBack(t *testing.T, confirmed streamdown.Ordinal, more bool) *scene {
	s := &scene{t: t, book: delivery.New(), now: simStart}
	s.book.Apply(&wal.Entry{Kind: wal.KindBatch, Ordinal: 0, Count: 5})
	s.book.Apply(delivery.BindingEntry(delivery.Binding{Cluster: "c", PID: 7}))
	s.book.Confirm(0, confirmed, streamdown.Offset(confirmed))
	s.book.Apply(&wal.Entry{Kind: wal.KindOpened})
	if more {
		s.book.Apply(&wal.Entry{Kind: wal.KindBatch, Ordinal: 5, Count: 10})
		s.book.Apply(&wal.Entry{Kind: wal.KindOpened})
	}
	s.start()
	s.next = confirmed
	for range 5 - confirmed + 3 { // and three that came since
		s.batches(s.now)
	}
	s.core.Tick(s.now)
	return s
}

// at is a scan that found batches of one record under producer id 7, their sequences being their offsets.
func at(epoch int16, offsets ...streamdown.Offset) sink.Found {
	var f sink.Found
	for _, o := range offsets {
		f.Batches = append(f.Batches, sink.Trace{Base: o, Epoch: epoch, Sequence: int32(o), Count: 1})
		f.End = max(f.End, o+1)
	}
	return f
}

func (s *scene) foreign(want ...Foreign) {
	s.t.Helper()
	if got := s.core.Status().Lanes[0].Foreign; !slices.Equal(got, want) {
		s.t.Errorf("foreign %+v, want %+v", got, want)
	}
}

const copied = "data directory rolled back or copied"

// TestNewRecordsAreNotTakenForStored: a directory that was rolled back to record 5 finds records up to 9 at the target.
// What it took since is not what lies there, however many records that are and however often it was started meanwhile.
func TestNewRecordsAreNotTakenForStored(t *testing.T) {
	for _, more := range []bool{false, true} {
		for _, known := range []bool{true, false} { // whether the target remembers the producer
			s := rolledBack(t, 3, more)
			s.want("at first", "ask 0")
			s.core.Asked(s.now, 0, sink.Held{Known: known, LastSequence: 9}, sink.OK, nil)
			if known {
				s.want("the answer", "renew, "+copied+", scan 0 in epoch 1")
			} else {
				s.want("no answer", "scan 0 in epoch 1")
			}
			s.core.Scanned(s.now, 0, at(0, 3, 4, 5, 6, 7, 9), sink.OK, nil)
			if !known {
				s.want("what was found", "renew, "+copied+", records at the target are not in this log, bind another id than 7, base 5")
			} else {
				s.want("what was found", "records at the target are not in this log, bind another id than 7, base 5")
			}
			if l := s.book.Lane(0); l.Confirmed != 5 || l.Offset != 5 {
				t.Errorf("confirmed to %d, offset %d", l.Confirmed, l.Offset)
			}
			s.foreign(Foreign{7, 5, 8, 5, 8, 3}, Foreign{7, 9, 10, 9, 10, 1})
			s.core.Bound(s.now, 0, delivery.Binding{Cluster: "c", PID: 8, Base: 5, End: 10}, sink.OK, nil)
			s.want("bound", "send 0 to 0")
			s.answer(0, sink.OK)
			s.want("warm", "send 1 to 0, send 2 to 0")
		}
	}
}

// TestARestartTakesAnotherProducerID, whatever the target shows: a copy of the directory may be about to send under the old
// one. What both have goes out under the old one first: whoever sends it, it is stored once.
func TestARestartTakesAnotherProducerID(t *testing.T) {
	s := rolledBack(t, 5, false)
	s.want("all is confirmed", "ask 0")
	s.core.Asked(s.now, 0, sink.Held{Known: true, LastSequence: 4}, sink.OK, nil)
	s.want("nobody wrote", "bind another id than 7, base 5")
	s.foreign()

	s = rolledBack(t, 3, true)
	s.want("two are not confirmed", "ask 0")
	s.core.Asked(s.now, 0, sink.Held{Known: true, LastSequence: 2}, sink.OK, nil)
	s.want("nor stored", "send 3 to 0")
	s.answer(0, sink.OK)
	s.want("warm, and no further than that", "send 4 to 0")
	s.answer(0, sink.OK)
	s.want("the rest", "bind another id than 7, base 5")
	s.core.Bound(s.now, 0, delivery.Binding{}, sink.Doubt, errors.New("no answer in time"))
	s.pass(time.Second)
	s.want("tried again", "bind another id than 7, base 5")
}

// TestALaterEpochIsSomebodyElse: it stops nothing. What the other one may have sent as well is named.
func TestALaterEpochIsSomebodyElse(t *testing.T) {
	s := rolledBack(t, 3, false)
	s.want("at first", "ask 0")
	s.core.Asked(s.now, 0, sink.Held{Known: true, Epoch: 1, LastSequence: 2}, sink.OK, nil)
	s.want("another epoch", "renew, "+copied+", scan 0 in epoch 1")
	found := at(0, 3)
	found.Batches = append(found.Batches, at(1, 4, 5).Batches...)
	found.End = 6
	s.core.Scanned(s.now, 0, found, sink.OK, nil)
	s.want("found", "records at the target are not in this log, records may be at the target twice, bind another id than 7, base 4")
	s.foreign(Foreign{7, -1, -1, 4, 6, 2})

	s = newScene(t) // and while we send
	s.batches(s.now)
	s.heard()
	s.answer(0, sink.Fenced)
	s.pass(time.Second)
	s.want("fenced", "ask 0")
	s.core.Asked(s.now, 0, sink.Held{Known: true, Epoch: 1}, sink.OK, nil)
	s.core.Scanned(s.now, 0, at(0, 0), sink.OK, nil)
	if got := s.heard(); !strings.HasSuffix(got, "bind another id than 7, base 1") {
		t.Errorf("then %q", got)
	}
}

// TestAProcessIsRolledBackToo, as machines are that are put back to a snapshot with their memory: what this process never
// sent is not of it.
func TestAProcessIsRolledBackToo(t *testing.T) {
	s := newScene(t)
	s.batches(s.now, s.now)
	s.core.Lost(s.now, 0, true, errors.New("reset"))
	s.batches(s.now, s.now) // never sent
	s.heard()
	s.pass(time.Second)
	s.core.Connected(s.now, 0, false, nil)
	s.want("in doubt", "ask 0")
	s.core.Asked(s.now, 0, sink.Held{Known: true, LastSequence: 3}, sink.OK, nil)
	s.want("more than was sent", "renew, "+copied+", scan 0 in epoch 1")
	s.core.Scanned(s.now, 0, at(0, 0, 1, 2, 3), sink.OK, nil)
	s.want("found", "records at the target are not in this log, bind another id than 7, base 3")
	s.foreign(Foreign{7, 3, 4, 3, 4, 1})
}
