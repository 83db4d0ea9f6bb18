package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// mender is a shelf that takes batches as a broker does: what it has of a producer id it does not take twice.
type mender struct {
	shelf
	last  int64
	fail  int           // this send, counted down to zero, is in doubt
	lands bool          // and stored all the same
	late  []sink.Parcel // that are under way on a connection that is dead, and arrive when arrive is called
	takes int
}

func (m *mender) NewProducerID(context.Context) (int64, error) {
	m.last++
	return 900000 + m.last, nil
}

func (m *mender) Send(_ context.Context, p sink.Parcel) (sink.Answer, error) {
	if m.fail--; m.fail == 0 {
		if m.lands {
			m.store(&p)
		} else {
			m.late = append(m.late, p)
		}
		return sink.Answer{}, errors.New("connection lost")
	}
	m.store(&p)
	return sink.Answer{Class: sink.OK}, nil
}

func (m *mender) store(p *sink.Parcel) {
	raw := append(slices.Clone(p.Header[:]), p.Payload...)
	h, _ := batch.ParseHeader(raw)
	next := int32(0)
	for _, b := range m.shelf[p.TopicPartition].batches {
		if x, _ := batch.ParseHeader(b); x.ProducerID == h.ProducerID {
			next = x.BaseSequence + x.Count
		}
	}
	if h.BaseSequence == next {
		m.shelf[p.TopicPartition].store(raw)
		m.takes++
	}
}

func (m *mender) Found(_ context.Context, tp streamdown.TopicPartition, _ streamdown.ID, from streamdown.Offset, pid int64) (f sink.Found, err error) {
	for _, b := range m.shelf[tp].batches {
		h, _ := batch.ParseHeader(b)
		if base, _ := extent(b); base >= from && h.ProducerID == pid {
			f.Batches = append(f.Batches, sink.Trace{Base: base, Sequence: h.BaseSequence, Count: h.Count})
		}
	}
	return f, nil
}

// mend plans and, with do, runs a repair of all that is absent.
func (w *twin) mend(m *mender, do bool) (*reconcile.Repair, error) {
	w.t.Helper()
	var absent []reconcile.Range
	rows := w.ledger()
	w.with(reconcile.Config{Ledger: rows, Found: func(x reconcile.Range) { absent = append(absent, x) }})
	read, err := wal.OpenReader(w.fs, "/d")
	if err != nil {
		w.t.Fatal(err)
	}
	defer read.Close()
	before, err := reconcile.Intents(w.t.Context(), read, rows)
	if err != nil {
		w.t.Fatal(err)
	}
	r := &reconcile.Repair{Log: w.log, Read: read, Target: m}
	if err := r.Plan(w.t.Context(), absent, before); err != nil {
		w.t.Fatal(err)
	}
	if !do {
		return r, nil
	}
	return r, r.Run(w.t.Context())
}

// lose takes batches of ours, by their place among those of orders, out of the target as if they had never come.
func (w *twin) lose(items []item, places ...int) {
	p := w.to[orders]
	bs := slices.DeleteFunc(p.batches, func(raw []byte) bool {
		h, _ := batch.ParseHeader(raw)
		return h.ProducerID == pid && slices.ContainsFunc(places, func(i int) bool { return items[i].ordinal == streamdown.Ordinal(h.BaseSequence) })
	})
	p.batches, p.pin.End = nil, 0
	for _, b := range bs {
		p.store(b)
	}
}

func TestWhatIsAbsentIsSentAgainAndListedAsLate(t *testing.T) {
	w, items := healthy(t)
	w.lose(items, 0, 3, 4, 9)
	i := slices.IndexFunc(w.to[orders].batches, func(raw []byte) bool { h, _ := batch.ParseHeader(raw); return h.BaseSequence == 18 })
	w.to[orders].batches[i] = thin(t, w.to[orders].batches[i], 1) // one record in the middle of another
	m := &mender{shelf: w.to}
	plan, err := w.mend(m, false)
	if err != nil || len(plan.Steps) != 4 || m.takes != 0 || m.last != 0 {
		t.Fatalf("%v, %d sent: %+v", err, m.takes, plan.Steps)
	}
	if _, err := w.mend(m, true); err != nil {
		t.Fatal(err)
	}
	for _, released := range []bool{false, true} {
		late, doubt, exit := int64(10), int64(0), 0
		if released { // the row of a batch that is there in two parts tells nothing of the parts
			w.release()
			late, doubt, exit = 9, 3, 3
		}
		r := w.runLedger(3)
		if r.Exit() != exit || r.Total.Late.Records != late || r.Total.NotComparable.Records != doubt || r.Total.Absent.Records+r.Total.Doubled.Records != 0 {
			t.Fatal(r)
		}
		if again, err := w.mend(m, true); err != nil || len(again.Steps) != 0 {
			t.Fatalf("again: %v, %+v", err, again.Steps)
		}
	}
	// What is late is compared too.
	p := w.to[orders]
	for i := range p.batches {
		if h, _ := batch.ParseHeader(p.batches[i]); h.ProducerID > 900000 && h.Codec() == batch.None {
			change(p.batches[i], func(b []byte) { b[len(b)-3] ^= 1 })
		}
	}
	if r := w.runLedger(0); r.Exit() != 4 || r.Total.Altered.Records == 0 {
		t.Fatal(r)
	}
}

// TestARepairThatStopsNeverDoubles ends a repair at each of its sends, with the batch stored, lost, or landing later; the next
// one goes on.
func TestARepairThatStopsNeverDoubles(t *testing.T) {
	for _, lands := range []bool{true, false} {
		for at := 1; at <= 5; at++ {
			w, items := healthy(t)
			w.lose(items, 1, 2, 3, 6, 7)
			m := &mender{shelf: w.to, fail: at, lands: lands}
			if _, err := w.mend(m, true); !errors.Is(err, reconcile.ErrInDoubt) {
				t.Fatalf("send %d: %v", at, err)
			}
			// The process ends here; what it knew is in the log.
			if err := w.log.Close(); err != nil {
				t.Fatal(err)
			}
			w.open(2000)
			if at%2 == 0 { // before the next one looks
				for i := range m.late {
					m.store(&m.late[i])
				}
				m.late = nil
			}
			if _, err := w.mend(m, true); err != nil {
				t.Fatal(err)
			}
			for i := range m.late { // long after
				m.store(&m.late[i])
			}
			if r := w.runLedger(2); r.Exit() != 0 || r.Total.Doubled.Records != 0 || r.Total.Late.Records != 15 {
				t.Fatalf("send %d, lands %v: %s", at, lands, r)
			}
			if again, err := w.mend(m, true); err != nil || len(again.Steps) != 0 {
				t.Fatalf("again: %v, %+v", err, again.Steps)
			}
		}
	}
}

func TestWithoutPayloadNothingIsSent(t *testing.T) {
	w, items := healthy(t)
	w.release()
	w.lose(items, 2, 5)
	m := &mender{shelf: w.to}
	r, err := w.mend(m, true)
	if err != nil || m.takes != 0 || len(r.Steps) != 2 || r.Steps[0].Refuse == "" {
		t.Fatalf("%v, %d sent: %+v", err, m.takes, r.Steps)
	}
	if rep := w.runLedger(0); rep.Total.Absent.Records != 6 {
		t.Fatal(rep)
	}
}

func TestTheLogKnowsItsProofs(t *testing.T) {
	w, _ := healthy(t)
	p := &reconcile.Proof{Tool: "test", Command: "*"}
	p.Report = w.with(reconcile.Config{Ledger: w.ledger(), Found: p.Collect})
	file, noted, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	e, err := noted.Entry()
	if err != nil {
		t.Fatal(err)
	}
	w.append(e)
	check := func(file []byte) error {
		t.Helper()
		read, err := wal.OpenReader(w.fs, "/d")
		if err != nil {
			t.Fatal(err)
		}
		defer read.Close()
		n, at, _, err := reconcile.FindNoted(t.Context(), read, w.ledger(), file)
		if err == nil && (at != e.LSN || n.Verdict != "proved" || n.Compared != 40) {
			t.Errorf("%+v at %d", n, at)
		}
		return err
	}
	if err := check(file); err != nil {
		t.Fatal(err)
	}
	w.release()
	if err := check(file); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(file); at += 97 {
		bad := slices.Clone(file)
		bad[at] ^= 1
		if err := check(bad); !errors.Is(err, reconcile.ErrNotNoted) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	back, err := reconcile.ParseProof(file)
	if err != nil || back.Report.Total.Identical.Records != 40 {
		t.Fatalf("%+v %v", back, err)
	}
	for _, x := range back.Report.Partitions {
		if x.Tiers.Headers != x.Counts.Identical.Records || x.Accepted.Batches != 10 || len(x.Accepted.SHA256) != 64 {
			t.Errorf("%+v", x)
		}
	}
}
