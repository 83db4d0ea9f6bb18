package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/forward"
	"github.com/streamdown/streamdown/sink"
)

// Plant names a fault between the node and the broker. Each one answers as if all were well: sequences, counts and
// offsets fit, so neither the forwarder nor the broker can tell, whatever they ask. Only the records do.
type Plant string

// The faults. Each strikes one batch, on the drain.
const (
	PlantNone Plant = ""
	PlantDrop Plant = "drop" // one record is taken out of its batch
	PlantDup  Plant = "dup"  // a batch is stored once more, over a connection of its own and without a producer id
	PlantSwap Plant = "swap" // two records of one batch change places
)

var plants = map[Plant]bool{PlantNone: true, PlantDrop: true, PlantDup: true, PlantSwap: true}

// saboteur is a target with a fault planted into it. It strikes once, at the first batch of two or more records that is
// sent after it was armed, and what it did to that batch it does again when the batch is sent again.
type saboteur struct {
	forward.Target
	plant Plant
	rng   *rand.Rand // owned by mu

	mu      sync.Mutex // guards the following
	armed   bool
	hit     *strike // nil until it struck
	copying bool    // PlantDup: the copy is on its way
	done    bool    // the broker has taken it
}

// strike is the batch that was hit, as the node sent it.
type strike struct {
	tp       streamdown.TopicPartition
	pid      int64
	epoch    int16
	sequence int32
	count    int32
	at       int // the record
}

// arm lets it strike from now on.
func (s *saboteur) arm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = true
}

// struck tells a person what was done, and is empty until the broker has taken it.
func (s *saboteur) struck() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		return ""
	}
	h := s.hit
	switch s.plant {
	case PlantDrop:
		return fmt.Sprintf("took record %d out of a batch of %d for %s", h.at+1, h.count, h.tp)
	case PlantDup:
		return fmt.Sprintf("stored a batch of %d for %s a second time", h.count, h.tp)
	default:
		return fmt.Sprintf("exchanged records %d and %d of a batch of %d for %s", h.at+1, h.at+2, h.count, h.tp)
	}
}

// Dial opens a pipe that strikes. A second one beside it carries the copy of PlantDup.
func (s *saboteur) Dial(ctx context.Context, node int32, depth int, answered func(tag uint64, answers []sink.Answer, err error)) (forward.Pipe, error) {
	p := &crooked{saboteur: s}
	if s.plant == PlantDup {
		side, err := s.Target.Dial(ctx, node, 1, func(_ uint64, answers []sink.Answer, err error) { s.copied(answers, err) })
		if err != nil {
			return nil, err
		}
		p.side = side
	}
	main, err := s.Target.Dial(ctx, node, depth, func(tag uint64, answers []sink.Answer, err error) {
		p.answered(tag, answers, err)
		answered(tag, answers, err)
	})
	if err != nil {
		if p.side != nil {
			_ = p.side.Close() // nothing was sent on it
		}
		return nil, err
	}
	p.Pipe = main
	return p, nil
}

// Ask translates what the broker holds into what the node sent.
func (s *saboteur) Ask(ctx context.Context, r forward.AskRequest) (sink.Held, error) {
	held, err := s.Target.Ask(ctx, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hit; s.plant == PlantDrop && h != nil && held.Known && r.TopicPartition == h.tp && r.PID == h.pid &&
		held.Epoch == h.epoch && held.LastSequence >= h.sequence+h.count-2 {
		held.LastSequence++
	}
	return held, err
}

// Scan translates too.
func (s *saboteur) Scan(ctx context.Context, r forward.ScanRequest) (sink.Found, error) {
	found, err := s.Target.Scan(ctx, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hit
	if s.plant != PlantDrop || h == nil || r.TopicPartition != h.tp || r.PID != h.pid {
		return found, err
	}
	for i := range found.Batches {
		switch t := &found.Batches[i]; {
		case t.Epoch != h.epoch || t.Sequence < h.sequence:
		case t.Sequence == h.sequence:
			t.Count++
			t.Base--
		default:
			t.Sequence++
		}
	}
	return found, err
}

// copied notes whether the broker took the copy. If not, the next batch is struck.
func (s *saboteur) copied(answers []sink.Answer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.copying = false
	if s.done = err == nil && len(answers) == 1 && answers[0].Class == sink.OK; !s.done {
		s.hit = nil
	}
}

// crooked is a pipe that changes what goes through it. The saboteur's mutex guards its fields.
type crooked struct {
	forward.Pipe
	saboteur *saboteur
	side     forward.Pipe // PlantDup only

	tag   uint64 // of the request with the batch that was hit, 0 = none
	at    int    // the parcel in it
	again sink.Parcel
}

// Send passes the parcels on, changed where the fault wants it. The node's own bytes are left alone.
func (p *crooked) Send(tag uint64, parcels []sink.Parcel) bool {
	p.saboteur.mu.Lock()
	defer p.saboteur.mu.Unlock()
	bent := slices.Clone(parcels)
	for i := range bent {
		if h, err := batch.ParseHeader(bent[i].Header[:]); err == nil {
			p.meetLocked(tag, i, &bent[i], h)
		}
	}
	return p.Pipe.Send(tag, bent)
}

// meetLocked decides about one parcel.
func (p *crooked) meetLocked(tag uint64, i int, parcel *sink.Parcel, h batch.Header) {
	s := p.saboteur
	if s.armed && s.hit == nil && h.Count >= 2 {
		s.hit = &strike{
			tp: parcel.TopicPartition, pid: h.ProducerID, epoch: h.ProducerEpoch, sequence: h.BaseSequence, count: h.Count,
			at: s.rng.IntN(int(h.Count) - 1),
		}
	}
	at := s.hit
	if at == nil || at.tp != parcel.TopicPartition || at.pid != h.ProducerID || at.epoch != h.ProducerEpoch || h.BaseSequence < at.sequence {
		return
	}
	if h.BaseSequence > at.sequence {
		if s.plant == PlantDrop { // one record fewer came before
			stamp := batch.Stamp{ProducerID: h.ProducerID, Epoch: h.ProducerEpoch, BaseSequence: h.BaseSequence - 1}
			batch.Restamp(&parcel.Header, parcel.Header[:], stamp)
		}
		return
	}
	changed, err := bend(*parcel, s.plant, at.at)
	if err != nil {
		s.hit = nil // a batch that cannot be read: the next one then
		return
	}
	p.tag, p.at = tag, i
	if s.plant == PlantDup {
		p.again = changed
	} else {
		*parcel = changed
	}
}

// answered looks at what comes back, and makes it fit.
func (p *crooked) answered(tag uint64, answers []sink.Answer, err error) {
	s := p.saboteur
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.tag == 0 || tag != p.tag || err != nil || answers[p.at].Class != sink.OK {
		return
	}
	switch s.plant {
	case PlantDup:
		if s.done || s.copying {
			break
		}
		if s.copying = p.side.Send(tag, []sink.Parcel{p.again}); !s.copying {
			s.hit = nil
		}
	case PlantDrop:
		answers[p.at].Base-- // so that the end is where it is
		s.done = true
	default:
		s.done = true
	}
}

// Close ends both connections.
func (p *crooked) Close() error {
	err := p.Pipe.Close()
	if p.side != nil {
		_ = p.side.Close() // whether the copy went through is known by its answer
	}
	return err
}
