package forward

import (
	"errors"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/sink"
)

// refuse answers the oldest request with a code.
func (s *scene) refuse(code int16) {
	tag := s.tags[0]
	s.tags = s.tags[1:]
	s.core.Answered(s.now, 0, tag, []sink.Answer{{Class: sink.Poison, Code: code, Base: streamdown.NoOffset}})
}

// asked answers the question with: all up to an ordinal is there.
func (s *scene) asked(last int32) {
	s.pass(time.Second)
	s.core.Asked(s.now, 0, sink.Held{Known: true, LastSequence: last, Epoch: s.core.lanes[0].bind.Epoch}, sink.OK, nil)
}

// aside says that the batch is in quarantine, as the log and the book have it.
func (s *scene) aside(from, to streamdown.Ordinal) {
	s.t.Helper()
	bind := s.core.lanes[0].bind
	bind.Epoch, bind.Base = bind.Epoch+1, to
	e, err := delivery.QuarantineEntry(delivery.Quarantined{From: from, To: to}, bind)
	if err != nil {
		s.t.Fatal(err)
	}
	s.book.Apply(e)
	s.core.Quarantined(s.now, 0, bind, sink.OK, nil)
}

// A refusal says nothing about an earlier copy: the target is asked before the batch is sent again, alone, and only a
// second refusal puts it aside. What follows goes on under the next epoch, from there (rules C5 and D5).
func TestRefusedBatchIsQuarantinedAfterAskingAndBeingRefusedAgain(t *testing.T) {
	s := newScene(t)
	s.heard()
	s.batches(s.now, s.now)
	s.want("two batches", "send 1 to 0, send 2 to 0")
	s.refuse(codeInvalid)
	s.answer(0, sink.OutOfOrder)
	s.want("refused", "")
	s.asked(0)
	s.want("asked, and it is not there", "ask 0, send 1 to 0")
	s.refuse(codeInvalid)
	s.want("refused again", "quarantine 1, then epoch 1 base 2")
	s.batches(s.now)
	s.want("until that is durable", "")
	s.aside(1, 2)
	s.want("then", "batch quarantined, send 0 to 0")
	s.answer(0, sink.OK)
	if got := s.book.Lane(0).Confirmed; got != 3 {
		t.Errorf("confirmed to %d, want 3", got)
	}
}

// A batch that is refused although it was stored by then is found by the question.
func TestRefusedBatchThatIsStoredIsConfirmed(t *testing.T) {
	s := newScene(t)
	s.batches(s.now)
	s.refuse(codeInvalid)
	s.heard()
	s.asked(1)
	s.want("it is there", "ask 0, scan 0 in epoch 1")
	s.core.Scanned(s.now, 0, sink.Found{End: 2, Batches: []sink.Trace{{Base: 1, Sequence: 1, Count: 1}}}, sink.OK, nil)
	if got := s.book.Lane(0).Confirmed; got != 2 {
		t.Errorf("confirmed to %d, want 2", got)
	}
	if s.core.lanes[0].stop != nil {
		t.Error("stopped")
	}
}

// Settings are no fault of the batch: the lane stops, tries again by itself, and goes on when they are right.
func TestLoweredLimitStopsTheLane(t *testing.T) {
	for _, c := range []struct {
		what  string
		code  int16
		known bool
		limit int32
	}{
		{"max.message.bytes is lower than the batch", codeTooLarge, true, 50},
		{"max.message.bytes cannot be read", codeTooLarge, false, 1 << 20},
		{"segment.bytes", codeListTooLarge, true, 1 << 20},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := newScene(t)
			s.batches(s.now)
			s.refuse(c.code)
			s.asked(0)
			s.heard()
			s.refuse(c.code)
			if c.code == codeTooLarge {
				s.want("refused again", "inspect orders")
				s.core.Inspected(s.now, 0, catalog.TopicConfig{Known: c.known, MaxMessageBytes: c.limit}, sink.OK, nil)
			}
			s.want("a lowered limit", "lane stopped")
			if stop := s.core.lanes[0].stop; stop == nil || !stop.Retry || stop.Code != c.code {
				t.Errorf("%+v", stop)
			}
		})
	}
}

// A refusal that settings do not explain is looked at several times, as changes of settings take a while to get around;
// then it is the batch.
func TestTooLargeWithinTheLimitIsTheBatchInTheEnd(t *testing.T) {
	s := newScene(t)
	s.batches(s.now)
	began := s.now
	s.refuse(codeTooLarge)
	for n := 1; ; n++ {
		s.asked(0)
		s.heard()
		s.refuse(codeTooLarge)
		s.want("refused again", "inspect orders")
		s.core.Inspected(s.now, 0, catalog.TopicConfig{Known: true, MaxMessageBytes: 1 << 20}, sink.OK, nil)
		if got := s.heard(); got != "" {
			if got != "quarantine 1, then epoch 1 base 2" || n != fitsOften {
				t.Errorf("after %d looks: %q", n, got)
			}
			break
		}
	}
	if took := s.now.Sub(began); took > 30*time.Second {
		t.Errorf("the lane was blocked for %v", took)
	}
}

// Three in a row are rather the topic's fault: the lane stops, until a person says go on.
func TestThirdInARowStopsTheLane(t *testing.T) {
	s := newScene(t)
	bad := func(o streamdown.Ordinal) {
		s.batches(s.now)
		s.refuse(codeInvalid)
		s.pass(time.Second)
		s.core.Asked(s.now, 0, sink.Held{Known: true, LastSequence: 0, Epoch: 0}, sink.OK, nil)
		s.heard()
		s.refuse(codeInvalid)
		_ = o
	}
	for o := streamdown.Ordinal(1); o <= 2; o++ {
		bad(o)
		s.heard()
		s.aside(o, o+1)
	}
	bad(3)
	s.want("the third", "lane stopped")
	if stop := s.core.lanes[0].stop; stop == nil || stop.Retry {
		t.Fatalf("%+v", stop)
	}
	s.core.Resume(s.now, sceneLane)
	if s.core.lanes[0].rowFrom != 3 {
		t.Errorf("counts from %d, want 3", s.core.lanes[0].rowFrom)
	}
}

// A store that cannot be written (a full disk) stops the lane; nothing has happened, and it tries again by itself.
func TestQuarantineThatCannotBeWrittenStopsTheLane(t *testing.T) {
	s := newScene(t)
	s.batches(s.now)
	s.refuse(codeInvalid)
	s.asked(0)
	s.refuse(codeInvalid)
	s.heard()
	s.core.Quarantined(s.now, 0, delivery.Binding{}, sink.Forbidden, errors.New("no space left on device"))
	s.want("the disk is full", "lane stopped")
	l := s.core.lanes[0]
	if l.stop == nil || !l.stop.Retry || l.confirmed != 1 || !l.parked {
		t.Errorf("stop %+v, confirmed %d, parked %v", l.stop, l.confirmed, l.parked)
	}
}

// What is recovered from an earlier life goes on behind a refused batch under an id of this process: another history of the
// directory may have gone on under the next epoch, from another base (rule A2).
func TestOldBindingIsLeftBehindARefusedBatch(t *testing.T) {
	s := newScene(t)
	s.batches(s.now)
	l := s.core.lanes[0]
	l.closed, l.most = true, 5
	s.refuse(codeInvalid)
	s.asked(0)
	s.heard()
	s.refuse(codeInvalid)
	s.want("refused again", "quarantine 1, then another id than 7, base 2")
}

// On a compacted topic a scan proves nothing, and it is not needed: all that was sent was refused.
func TestFirstBatchOfABindingIsQuarantinedOnACompactedTopic(t *testing.T) {
	s := newScene(t)
	s.core.Looked(s.now, &catalog.Cluster{ID: "c", Topics: map[string]*catalog.Topic{
		"orders": {Name: "orders", Partitions: []catalog.Partition{{LeaderEpoch: 1}}, Config: catalog.TopicConfig{Compacted: true}},
	}}, false, nil)
	s.batches(s.now)
	s.refuse(codeInvalid)
	s.asked(0)
	s.refuse(codeInvalid)
	s.aside(1, 2)
	s.batches(s.now)
	s.refuse(codeInvalid)
	s.pass(time.Second)
	s.heard()
	s.core.Asked(s.now, 0, sink.Held{Known: true, LastSequence: 0, Epoch: 0}, sink.OK, nil) // nothing under epoch 1 was ever stored
	s.want("asked", "send 0 to 0")
	s.refuse(codeInvalid)
	s.want("refused again", "quarantine 2, then epoch 2 base 3")
}
