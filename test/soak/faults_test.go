package main

import (
	"syscall"
	"time"

	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/vfs"
)

func newDisk() *vfs.Mem { return vfs.NewMem() }

// fault is one thing that goes wrong. What it returns ends it, after a while; nil = it is over at once.
type fault struct {
	name  string
	often int
	do    func(w *world) (end func())
}

var faults = []fault{
	{"power", 6, func(w *world) func() { w.crash(true); return nil }},
	{"kill", 4, func(w *world) func() { w.crash(false); return nil }},
	{"freeze", 1, func(w *world) func() { w.freeze(); return nil }},
	{"disk", 2, func(w *world) func() {
		m := w.gateway.disk
		m.Inject(func(op vfs.Op, _ string) error {
			if op.Changes() && w.between(0, 100) < 50 {
				return vfs.Fault{Err: syscall.EIO}
			}
			return nil
		})
		return func() { m.Inject(nil) }
	}},
	{"broker", 5, func(w *world) func() {
		id, clean := w.someBroker(), w.rng.IntN(3) == 0
		w.cluster.Kill(id)
		w.net.Refuse(w.brokers[id], true)
		return func() {
			w.net.Refuse(w.brokers[id], false)
			w.cluster.Start(id, clean)
		}
	}},
	{"cut", 5, func(w *world) func() { w.net.Cut(w.brokers[w.someBroker()], w.rng.IntN(4) > 0); return nil }},
	{"refuse", 2, func(w *world) func() {
		addr := w.brokers[w.someBroker()]
		w.net.Refuse(addr, true)
		w.net.Cut(addr, true)
		return func() { w.net.Refuse(addr, false) }
	}},
	{"silence", 3, func(w *world) func() {
		addr := w.brokers[w.someBroker()]
		w.net.Silence(addr, true)
		w.hold++
		return func() {
			w.net.Silence(addr, false)
			w.hold--
			w.underway(time.Second)
		}
	}},
	{"clients", 3, func(w *world) func() { w.net.Cut(gatewayAddr, w.rng.IntN(2) == 0); return nil }},
	{"shrink", 3, func(w *world) func() {
		for _, tp := range w.cluster.Partitions() {
			w.cluster.Shrink(tp)
		}
		return nil
	}},
	{"codes", 8, func(w *world) func() {
		codes := []int16{6, 7, 7, 19, 19, 20, 56, -1, 3, 5}
		code := codes[w.rng.IntN(len(codes))]
		w.cluster.Refuse(w.somePartition(), 1+w.rng.IntN(6), code, code != 19 && code != 3 && w.rng.IntN(2) == 0)
		return nil
	}},
	{"elect", 5, func(w *world) func() { w.cluster.Elect(w.somePartition(), w.someBroker()); return nil }},
	{"stick", 3, func(w *world) func() {
		tp := w.somePartition()
		w.cluster.Stick(tp)
		return func() { w.cluster.Unstick(tp) }
	}},
	{"queue", 3, func(w *world) func() {
		id := w.someBroker()
		w.cluster.Queue(id)
		w.hold++
		return func() {
			w.cluster.Dequeue(id)
			w.net.Cut(w.brokers[id], true)
			w.hold--
			w.underway(time.Second)
		}
	}},
	{"drop", 4, func(w *world) func() {
		w.cluster.DropAnswers(w.someBroker(), int16(w.rng.IntN(2)), 1+w.rng.IntN(3))
		return nil
	}},
	{"delay", 3, func(w *world) func() {
		id, n, late := w.someBroker(), 1+w.rng.IntN(3), time.Duration(w.rng.Int64N(int64(4*time.Second)))
		w.cluster.DelayAnswers(id, 0, n, late) // and what follows on the connection waits in it, though we give it up
		w.underway(time.Duration(n+1)*late + 5*time.Second)
		return nil
	}},
	{"repeat", 1, func(w *world) func() { w.cluster.RepeatAnswers(w.someBroker(), 0, 1); return nil }},
	{"deaf", 3, func(w *world) func() {
		id := w.someBroker()
		w.cluster.Deafen(id)
		w.cluster.Elect(w.somePartition(), w.someBroker())
		return func() { w.cluster.Hear(id) }
	}},
	{"others", 4, func(w *world) func() {
		var b batch.Builder
		b.Append(time.Now().UnixMilli(), nil, []byte("of another"))
		raw, err := b.Build(batch.None, batch.NoStamp)
		if err == nil {
			w.cluster.Insert(w.somePartition(), raw)
		}
		return nil
	}},
	{"partitions", 1, func(w *world) func() { w.cluster.AddPartitions("orders", 1); return nil }},
}

func (w *world) someBroker() int32 { return int32(w.rng.IntN(len(w.brokers))) }
