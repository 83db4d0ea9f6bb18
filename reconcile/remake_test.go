package reconcile_test

import (
	"context"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/reconcile"
)

// build returns a batch of n records that is in no log.
func (w *twin) build(n int) []byte {
	w.t.Helper()
	w.records(n, func(ts int64, key, value []byte) { w.b.Append(ts, key, value) })
	raw, err := w.b.Build(batch.None, batch.NoStamp)
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.Clone(raw)
}

// rot flips a bit of a batch in the log.
func (w *twin) rot(it item) {
	w.t.Helper()
	if err := w.log.Close(); err != nil { // writes the last mark: what is damaged now is rot
		w.t.Fatal(err)
	}
	names, err := w.fs.List("/d")
	if err != nil {
		w.t.Fatal(err)
	}
	needle := it.raw[batch.HeaderSize:]
	for _, name := range names {
		w.fs.Change("/d/"+name, func(b []byte) []byte {
			for i := 0; i+len(needle) <= len(b); i++ {
				if slices.Equal(b[i:i+len(needle)], needle) {
					b[i+5] ^= 1
					return b
				}
			}
			return b
		})
	}
}

// remake builds a stored batch anew with another codec, cut into parts of the given sizes.
func remake(t testing.TB, codec batch.Codec, raw []byte, sizes ...int) (out [][]byte) {
	t.Helper()
	h, err := batch.ParseHeader(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(sizes) == 0 {
		sizes = []int{int(h.Count)}
	}
	var b batch.Builder
	seq := h.BaseSequence
	for r, err := range batch.Records(raw) {
		if err != nil {
			t.Fatal(err)
		}
		b.Append(r.Timestamp, r.Key, r.Value, r.Headers...)
		if b.Len() == sizes[len(out)] {
			n := b.Len()
			made, err := b.Build(codec, batch.Stamp{ProducerID: h.ProducerID, Epoch: h.ProducerEpoch, BaseSequence: seq})
			if err != nil {
				t.Fatal(err)
			}
			made = slices.Clone(made)
			binary.BigEndian.PutUint64(made, uint64(h.BaseOffset)+uint64(seq-h.BaseSequence))
			out = append(out, made)
			seq += int32(n)
		}
	}
	return out
}

// merge makes one batch of several that follow each other.
func merge(t testing.TB, raws ...[]byte) []byte {
	t.Helper()
	h, err := batch.ParseHeader(raws[0])
	if err != nil {
		t.Fatal(err)
	}
	var b batch.Builder
	for _, raw := range raws {
		for r, err := range batch.Records(raw) {
			if err != nil {
				t.Fatal(err)
			}
			b.Append(r.Timestamp, r.Key, r.Value, r.Headers...)
		}
	}
	made, err := b.Build(batch.LZ4, batch.Stamp{ProducerID: h.ProducerID, Epoch: h.ProducerEpoch, BaseSequence: h.BaseSequence})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(made)
}

// thin takes the record at one offset delta out of a batch, as a log cleaner does: the other deltas stay.
func thin(t testing.TB, raw []byte, delta int) []byte {
	t.Helper()
	one := remake(t, batch.None, raw)[0]
	body := one[batch.HeaderSize:]
	var kept []byte
	for i := 0; len(body) > 0; i++ {
		size, w := binary.Varint(body)
		n := w + int(size)
		if i != delta {
			kept = append(kept, body[:n]...)
		}
		body = body[n:]
	}
	out := append(slices.Clone(one[:batch.HeaderSize]), kept...)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	binary.BigEndian.PutUint32(out[57:], binary.BigEndian.Uint32(out[57:])-1)
	change(out, func([]byte) {})
	return out
}

// lost is a target that cannot be reached.
type lost struct {
	reconcile.Topic
	pin, walk error
}

func (l lost) Pin(ctx context.Context, tp streamdown.TopicPartition) (reconcile.Pin, error) {
	if l.pin != nil {
		return reconcile.Pin{}, l.pin
	}
	return l.Topic.Pin(ctx, tp)
}

func (l lost) Walk(ctx context.Context, tp streamdown.TopicPartition, id streamdown.ID, from, to streamdown.Offset, fn func(streamdown.Offset, []byte) error) error {
	if l.walk != nil {
		return l.walk
	}
	return l.Topic.Walk(ctx, tp, id, from, to, fn)
}
