package delivery_test

import (
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/delivery"
)

// A client's retry of a pending batch comes to wait behind those that wait for later records, and must not have to wait
// for them, nor be told an offset counted back over records of other producers.
func TestRetryIsToldWithItsOriginal(t *testing.T) {
	b := delivery.New()
	b.SetUp(true)
	accept(b, 0, 0, 20)
	now := time.Unix(1000, 0)
	var got []streamdown.Offset
	note := func(base streamdown.Offset, _ bool) { got = append(got, base) }
	b.Await(0, 0, 10, now.Add(time.Second), note)
	b.Await(0, 10, 20, now.Add(time.Second), note)
	b.Await(0, 0, 10, now.Add(3*time.Second), note)
	b.Confirm(0, 10, 110)
	if len(got) != 2 || got[0] != 100 || got[1] != 100 {
		t.Fatalf("told %v when records 0 to 9 are at 100", got)
	}
	b.Await(0, 5, 15, now.Add(9*time.Second), note)
	b.Sweep(now.Add(2 * time.Second))
	if len(got) != 3 {
		t.Errorf("told %v: a later deadline in front held an earlier one up", got)
	}
}

// A binding that became durable says by its base that all below is confirmed. The progress that said so before may be
// lost in a crash; looking for those records under the new epoch would find none and send them again.
func TestNewEpochConfirmsWhatLiesBelowItsBase(t *testing.T) {
	b := delivery.New()
	b.SetUp(true)
	accept(b, 0, 0, 30)
	told := 0
	b.Await(0, 5, 10, time.Unix(1000, 0), func(_ streamdown.Offset, confirmed bool) {
		if told++; confirmed {
			t.Error("a damaged record is called confirmed")
		}
	})
	b.Apply(delivery.BindingEntry(delivery.Binding{Lane: 0, PID: 4000, Epoch: 1, Base: 10, End: 500}))
	if l := b.Lane(0); l.Confirmed != 10 || l.Offset != 500 || told != 1 {
		t.Errorf("confirmed %d, offset %d, %d told; want 10, 500, 1", l.Confirmed, l.Offset, told)
	}
	b.Apply(delivery.BindingEntry(delivery.Binding{Lane: 0, PID: 4000, Epoch: 0, Base: 0, End: 7}))
	if l := b.Lane(0); l.Confirmed != 10 || l.Offset != 500 {
		t.Errorf("an older base took the confirmation back: %d at %d", l.Confirmed, l.Offset)
	}
}

// Otherwise a stream that rejects what would be isolated could never begin, nor go on after a restart.
func TestLaneWithoutBacklogIsLiveWhenTheTargetIsUp(t *testing.T) {
	b := delivery.New()
	accept(b, 1, 0, 5)
	b.Confirm(1, 5, 5)
	accept(b, 2, 0, 5)
	if b.Live(0) || b.Live(1) || b.Live(2) {
		t.Error("live while the target is down")
	}
	b.SetUp(true)
	if !b.Live(0) || !b.Live(1) || b.Live(2) {
		t.Errorf("live: unknown lane %v, confirmed lane %v, lane with a backlog %v", b.Live(0), b.Live(1), b.Live(2))
	}
}
