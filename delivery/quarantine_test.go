package delivery_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/wal"
)

// aside puts [from, to) of lane 0 into quarantine.
func aside(t *testing.T, b *delivery.Book, from, to streamdown.Ordinal) delivery.Quarantined {
	t.Helper()
	q := delivery.Quarantined{
		From: from, To: to, Log: "l", Bytes: 90, Arrival: 5, At: time.Unix(1e9, 0).UTC(), Code: 87, Reason: "no key",
		Cluster: "c", PID: 7, Sequence: int32(from), Offset: streamdown.Offset(from),
	}
	e, err := delivery.QuarantineEntry(q, delivery.Binding{Cluster: "c", PID: 7, Epoch: 1, Base: to, End: streamdown.Offset(from)})
	if err != nil {
		t.Fatal(err)
	}
	b.Apply(e)
	q.Fate = delivery.Kept
	return q
}

func fate(t *testing.T, b *delivery.Book, q delivery.Quarantined) {
	t.Helper()
	e, err := delivery.FateEntry(q)
	if err != nil {
		t.Fatal(err)
	}
	b.Apply(e)
}

// TestQuarantineOutlivesRestarts: through snapshots and by replaying the log, whatever became of a batch.
func TestQuarantineOutlivesRestarts(t *testing.T) {
	b := delivery.New()
	accept(b, 0, 0, 10)
	accept(b, 0, 10, 10)
	accept(b, 0, 20, 10)
	b.Confirm(0, 10, 10)
	q := aside(t, b, 10, 20)
	check := func(what string, batches, records int64) {
		t.Helper()
		again := delivery.New()
		if err := again.Restore(b.Snapshot(nil)); err != nil {
			t.Fatal(err)
		}
		for _, o := range []*delivery.Book{b, again} {
			if got := o.Quarantine(0); !reflect.DeepEqual(got, []delivery.Quarantined{q}) {
				t.Fatalf("%s: %+v, want %+v", what, got, q)
			}
			if n, r := o.Quarantined(); n != batches || r != records {
				t.Fatalf("%s: %d batches with %d records wait", what, n, r)
			}
			if o.Lane(0) != b.Lane(0) {
				t.Fatalf("%s: lane %+v", what, o.Lane(0))
			}
		}
	}
	check("refused", 1, 10)
	if l := b.Lane(0); l.Confirmed != 20 || l.Backlog() != 10 || l.Binding.Epoch != 1 || l.Binding.Base != 20 {
		t.Fatalf("the lane goes on behind it in the same entry: %+v", l)
	}
	q.Again = &delivery.Again{PID: 9, End: 40}
	fate(t, b, q)
	check("about to be sent again", 1, 10)
	q.Fate, q.Base, q.Settled = delivery.Late, 41, time.Unix(2e9, 0).UTC()
	fate(t, b, q)
	check("late", 0, 0)
	b.Apply(&wal.Entry{Kind: wal.KindOpened})
	check("opened again", 0, 0)
}

// TestQuarantinedRecordsAreNotCalledConfirmed: neither to who waits, nor to a retry that comes later, nor in the sums.
func TestQuarantinedRecordsAreNotCalledConfirmed(t *testing.T) {
	b := delivery.New()
	b.SetUp(true)
	accept(b, 0, 0, 10)
	accept(b, 0, 10, 10)
	var told []bool
	note := func(_ streamdown.Offset, confirmed bool) { told = append(told, confirmed) }
	b.Await(0, 0, 10, time.Unix(1e9, 0), note)
	_, before := b.Totals()
	q := aside(t, b, 0, 10)
	b.Await(0, 0, 10, time.Unix(1e9, 0), note)
	if len(told) != 2 || told[0] || told[1] {
		t.Fatalf("told %v", told)
	}
	if _, confirmed := b.Totals(); confirmed != before {
		t.Errorf("%d records count as confirmed", confirmed-before)
	}
	if !b.InQuarantine(0, 5, 6) || b.InQuarantine(0, 10, 20) || b.InQuarantine(3, 0, 1) {
		t.Error("the range is wrong")
	}
	q.Fate = delivery.Late
	fate(t, b, q)
	if _, confirmed := b.Totals(); confirmed != before+10 {
		t.Errorf("%d records count as confirmed when it is late", confirmed-before)
	}
	b.Await(0, 0, 10, time.Unix(1e9, 0), note)
	if !told[2] {
		t.Error("a retry is told that it is not there when it is")
	}
}

// TestSettledBatchesAreForgottenInTheEnd: memory and states do not grow with what nobody waits for.
func TestSettledBatchesAreForgottenInTheEnd(t *testing.T) {
	b := delivery.New()
	accept(b, 0, 0, 3000)
	for o := range streamdown.Ordinal(1500) {
		q := aside(t, b, o, o+1)
		if o%3 > 0 {
			q.Fate, q.Settled = delivery.Discarded, time.Unix(int64(o), 0)
			fate(t, b, q)
		}
	}
	kept, settled := 0, 0
	for _, q := range b.Quarantine(0) {
		if q.Fate == delivery.Kept {
			kept++
		} else if settled++; q.From < 400 && settled == 1 {
			continue
		}
	}
	if kept != 500 || settled != 1000 {
		t.Errorf("%d wait and %d are remembered, want 500 and 1000", kept, settled)
	}
}

func TestMalformedQuarantineEntriesChangeNothing(t *testing.T) {
	b := delivery.New()
	accept(b, 0, 0, 10)
	q := delivery.Quarantined{From: 0, To: 10}
	e, err := delivery.QuarantineEntry(q, delivery.Binding{Cluster: "c", PID: 7, Base: 10})
	if err != nil {
		t.Fatal(err)
	}
	for n := range e.Body {
		b.Apply(&wal.Entry{Kind: wal.KindQuarantine, Body: e.Body[:n]})
	}
	if l := b.Lane(0); l.Confirmed != 0 || l.Bound || len(b.Quarantine(0)) != 0 {
		t.Errorf("%+v %+v", l, b.Quarantine(0))
	}
}
