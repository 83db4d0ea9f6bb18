package hostile_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/streamdown/streamdown/test/hostile"
)

// mostMemory is what a gateway may hold while all of it comes: twice what the least of the promises allows a healthy one.
const mostMemory = 256 << 20

// TestHostileInputIsAnsweredOrRefused throws the whole table at the real program. Each item is answered or its connection
// is closed, nothing of it is stored, memory stays bounded, and healthy clients on the same ports go on.
func TestHostileInputIsAnsweredOrRefused(t *testing.T) {
	h := open(t)
	healthy := map[hostile.Door]*kgo.Client{}
	for _, door := range []hostile.Door{hostile.Plain, hostile.Stranger, hostile.Encrypted} {
		healthy[door] = h.healthy(t, door)
	}
	sent := int64(0)
	say := func(after string) {
		for door, cl := range healthy {
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Value: []byte("v")}).FirstErr(); err != nil {
				t.Fatalf("the healthy client at %v after %s: %v", door, after, err)
			}
			sent++
		}
	}
	say("nothing")
	all := hostile.All()
	got := make([]outcome, len(all))
	for from := 0; from < len(all); from += 100 {
		var peers errgroup.Group
		peers.SetLimit(10)
		for n := from; n < min(from+100, len(all)); n++ {
			peers.Go(func() (err error) {
				got[n], err = h.try(t.Context(), all[n], n)
				return err
			})
		}
		if err := peers.Wait(); err != nil {
			t.Error(err)
		}
		say(fmt.Sprint(all[from]))
	}
	table := map[string]map[outcome]int{}
	for n, i := range all {
		if table[i.Kind] == nil {
			table[i.Kind] = map[outcome]int{}
		}
		table[i.Kind][got[n]]++
	}
	say("all of it")
	total := 0
	for _, kind := range slices.Sorted(maps.Keys(table)) {
		n := 0
		for _, c := range table[kind] {
			n += c
		}
		total += n
		t.Logf("%-28s %5d: %v", kind, n, table[kind])
	}
	t.Logf("%d in all", total)
	if total < 1000 {
		t.Errorf("only %d", total)
	}
	for door, gw := range h.doors {
		u, err := gw.Usage()
		if err != nil {
			t.Fatalf("%v: %v", door, err)
		}
		t.Logf("%v: %d MiB resident, %v of processor time", door, u.ResidentBytes>>20, u.CPU)
		if u.ResidentBytes > mostMemory {
			t.Errorf("%v holds %d bytes", door, u.ResidentBytes)
		}
	}
	// The twin that is good: were it refused too, the refusals above would say nothing.
	if _, answer, err := h.throw(t.Context(), hostile.Item{Door: hostile.Plain, Data: hostile.Produce(hostile.Batch())}, 0); err != nil || refused(answer) == nil {
		t.Errorf("good records are not taken: %v, %x", err, answer)
	}
	for _, door := range []hostile.Door{hostile.Plain, hostile.Stranger, hostile.Encrypted, hostile.Mutual} {
		if err := h.doors[door].Stop(t.Context()); err != nil { // once it delivered what it has
			t.Errorf("%v: %v", door, err)
		}
	}
	if n := h.stored(t, hostile.Topic); n != 2 {
		t.Errorf("%d records in the topic, want the two good ones", n)
	}
	if n := h.stored(t, healthyTopic); n != sent {
		t.Errorf("%d of %d healthy records arrived", n, sent)
	}
}

// try throws an item and says what is wrong with what became of it.
func (h *house) try(ctx context.Context, i hostile.Item, n int) (outcome, error) {
	got, answer, err := h.throw(ctx, i, n)
	switch {
	case err == nil && got == silent:
		err = errors.New("neither answered nor closed")
	case err == nil && i.Records:
		err = refused(answer)
	}
	if err != nil {
		err = fmt.Errorf("%v: %v: %w", i, got, err)
	}
	return got, err
}

// refused says why an answer is not one that refuses the records of hostile.Produce.
func refused(answer []byte) error {
	if len(answer) < 9 {
		return fmt.Errorf("no answer: %x", answer)
	}
	r := kmsg.NewPtrProduceResponse()
	r.Version = 9
	if err := r.ReadFrom(answer[9:]); err != nil { // behind length, correlation and tags
		return err
	}
	if id := binary.BigEndian.Uint32(answer[4:]); id != 9 || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return fmt.Errorf("an answer to another request: %+v", r)
	}
	if r.Topics[0].Partitions[0].ErrorCode == 0 {
		return fmt.Errorf("taken: %+v", r.Topics[0].Partitions[0])
	}
	return nil
}

// TestTheTableHasNamesOfItsOwn: what fails can be found by its name.
func TestTheTableHasNamesOfItsOwn(t *testing.T) {
	names := map[string]bool{}
	for _, i := range hostile.All() {
		if names[i.String()] {
			t.Errorf("twice: %v", i)
		}
		names[i.String()] = true
	}
}
