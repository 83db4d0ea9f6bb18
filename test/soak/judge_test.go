package main

import (
	"fmt"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/check"
)

// judge compares what producers were promised with what the cluster holds, and looks at the cluster's own truth.
func (w *world) judge() {
	for _, s := range w.cluster.Broken() {
		w.fail("G7", "%s", s)
	}
	lost := map[string]int{}
	for _, tp := range w.cluster.Partitions() {
		for _, b := range w.cluster.Losses(tp) {
			each(b.Raw, func(_ int32, value []byte) { lost[string(value)]++ })
		}
	}
	for _, tp := range w.cluster.Partitions() {
		for _, b := range w.cluster.Log(tp) {
			h, err := batch.ParseHeader(b.Raw)
			if err == nil {
				err = batch.Verify(b.Raw)
			}
			if err != nil {
				w.fail("bytes", "%s at offset %d: %v", tp, b.Base, err)
				continue
			}
			if h.ProducerID < 0 {
				continue // of others
			}
			each(b.Raw, func(delta int32, value []byte) {
				delete(lost, string(value))
				w.checker.Seen(tp, b.Base+streamdown.Offset(delta), value)
			})
		}
	}
	r := w.checker.Final()
	excused := uint64(0)
	if !w.heals {
		for value := range lost { // the cluster lost it for good after it was confirmed, and nobody brings it back yet
			if rec, err := check.ParseRecord([]byte(value)); err == nil {
				excused++
				_ = rec
			}
		}
	}
	if r.Lost > 0 && r.Lost <= excused && r.Failures() == r.Lost {
		w.did["excused"] += int(r.Lost)
		return
	}
	if r.Failures() > 0 {
		w.fail(verdict(r), "%s %v", r, r.Examples)
	}
}

// verdict names the promise that a report breaks.
func verdict(r check.Report) string {
	switch {
	case r.Lost > 0:
		return "lost"
	case r.Duplicate > 0:
		return "doubled"
	case r.Reordered > 0:
		return "reordered"
	case r.Phantom > 0:
		return "phantom"
	}
	return "bytes"
}

func each(raw []byte, f func(delta int32, value []byte)) {
	for rec, err := range batch.Records(raw) {
		if err != nil {
			panic(fmt.Sprintf("a batch that was stored cannot be read: %v", err))
		}
		f(rec.OffsetDelta, rec.Value)
	}
}
