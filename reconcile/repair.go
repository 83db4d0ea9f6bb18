package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// Sender is the target's side of a repair. Calls are made one at a time.
type Sender interface {
	Topic
	// NewProducerID allocates an id that nobody else at the target has.
	NewProducerID(ctx context.Context) (int64, error)
	// Send sends one batch and waits for the answer. An error is doubt: it may be stored or not, and still may be later.
	Send(ctx context.Context, p sink.Parcel) (sink.Answer, error)
	// Found looks for all that is stored of a producer id from an offset on, to the end of the leader's log (rule D3).
	Found(ctx context.Context, tp streamdown.TopicPartition, id streamdown.ID, from streamdown.Offset, pid int64) (sink.Found, error)
}

// Step is a run of records to be sent once more, or not.
type Step struct {
	Range
	Intent *Intent `json:"intent"` // that an earlier repair began and did not end; null for a new one
	Refuse string  `json:"refuse"` // why it is not sent; empty if it will be
	Sent   int64   `json:"sent_records"`
	Found  int64   `json:"found_records"` // that the earlier repair had stored already
}

func (s *Step) String() string {
	what := "resend"
	if s.Intent != nil {
		what = "go on with the repair of"
	}
	if s.Refuse != "" {
		what = "cannot resend"
	}
	text := fmt.Sprintf("%s %s/%d ordinals %d to %d, %d records", what, s.Topic, s.Partition, s.From, s.To-1, s.To-s.From)
	if s.Refuse != "" {
		text += ": " + s.Refuse
	}
	return text
}

// Repair sends what a comparison proved to be absent once more. Whoever makes one owns the log: nobody else sends in its name
// meanwhile.
type Repair struct {
	Log    *wal.Log
	Read   *wal.Reader // of the same directory
	Target Sender
	Steps  []Step
}

// Plan makes the steps: what earlier repairs left, then what is absent, in order. It looks whether the log has the payload, and
// writes nothing.
func (r *Repair) Plan(ctx context.Context, absent []Range, before []Intent) error {
	open := slices.DeleteFunc(slices.Clone(before), func(i Intent) bool { return i.Done })
	for i := range open {
		x := &open[i]
		r.Steps = append(r.Steps, Step{Intent: x, Range: Range{
			Verdict: Absent, Topic: x.Topic, Partition: x.Partition, From: x.From, To: x.To, Records: int64(x.To - x.From), Offset: x.End,
		}})
	}
	for _, a := range absent {
		if a.Verdict != Absent {
			continue
		}
		for _, x := range open { // the part that an open repair has goes out under that one
			if x.Topic == a.Topic && x.Partition == a.Partition && x.From < a.To && a.From < x.To {
				if a.From < x.From {
					head := a
					head.To = x.From
					r.Steps = append(r.Steps, Step{Range: head})
				}
				a.From = min(a.To, x.To)
			}
		}
		if a.From < a.To {
			a.Records = int64(a.To - a.From)
			r.Steps = append(r.Steps, Step{Range: a})
		}
	}
	return r.payloads(ctx)
}

// payloads refuses the steps whose records the log does not have any more.
func (r *Repair) payloads(ctx context.Context) error {
	have := make([]int64, len(r.Steps))
	err := r.each(ctx, func(i int, _ *wal.Entry, from, to streamdown.Ordinal) error {
		have[i] += int64(to - from)
		return nil
	})
	for i := range r.Steps {
		if s := &r.Steps[i]; s.Refuse == "" && have[i] != int64(s.To-s.From) {
			s.Refuse = "absent, and the log does not have the payload any more"
		}
	}
	return err
}

// each hands fn all batches of the log that steps are about, with the place of the step and the ordinals that it wants of them.
func (r *Repair) each(ctx context.Context, fn func(step int, e *wal.Entry, from, to streamdown.Ordinal) error) error {
	if len(r.Steps) == 0 {
		return nil
	}
	steps := map[streamdown.LaneID][]int{}
	known := map[streamdown.LaneID]bool{}
	_, err := r.Read.Walk(ctx, r.Read.First(), func(e *wal.Entry) error {
		if e.Kind != wal.KindBatch {
			return nil
		}
		if !known[e.Lane] {
			known[e.Lane] = true
			tp, _ := r.Read.LaneName(e.Lane)
			for i := range r.Steps {
				if s := &r.Steps[i]; s.Topic == tp.Topic && s.Partition == tp.Partition {
					steps[e.Lane] = append(steps[e.Lane], i)
				}
			}
		}
		end := e.Ordinal + streamdown.Ordinal(e.Count)
		for _, i := range steps[e.Lane] {
			s := &r.Steps[i]
			if from, to := max(s.From, e.Ordinal), min(s.To, end); from < to && s.Refuse == "" {
				if err := fn(i, e, from, to); err != nil {
					return err
				}
			}
		}
		return nil
	})
	var bad *wal.CorruptError
	if errors.As(err, &bad) {
		err = nil // what is damaged is not there
	}
	return err
}

// ErrInDoubt says that a repair stopped where it is not known whether a batch was stored. Beginning again finds out.
var ErrInDoubt = errors.New("not known whether it was stored; run the repair again: it looks before it sends")

// Run sends all steps that are not refused. Where it stops with an error, another Run by another Repair goes on.
func (r *Repair) Run(ctx context.Context) error {
	under := make([]*Intent, len(r.Steps))
	next := make([]streamdown.Ordinal, len(r.Steps))
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Refuse != "" {
			continue
		}
		var err error
		if under[i], next[i], err = r.begin(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	err := r.each(ctx, func(i int, e *wal.Entry, from, to streamdown.Ordinal) error {
		if from = max(from, next[i]); from >= to {
			return nil
		}
		if err := r.send(ctx, under[i], e, from, to); err != nil {
			return fmt.Errorf("%s, at ordinal %d: %w", &r.Steps[i], from, err)
		}
		r.Steps[i].Sent += int64(to - from)
		next[i] = to
		return nil
	})
	if err != nil {
		return err
	}
	for i, x := range under {
		if x == nil || next[i] < x.To {
			continue
		}
		x.Done = true
		if err := r.note(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

// begin finds how far an earlier repair came, or makes an identity durable for a new one. The commit point is the sync of the
// intent: before it nothing can have been sent under it, after it everybody looks for it first.
func (r *Repair) begin(ctx context.Context, s *Step) (*Intent, streamdown.Ordinal, error) {
	tp := streamdown.TopicPartition{Topic: s.Topic, Partition: s.Partition}
	pin, err := r.Target.Pin(ctx, tp)
	if err != nil {
		return nil, 0, err
	}
	if x := s.Intent; x != nil {
		if x.Cluster != pin.Cluster || x.TopicID != pin.Topic.String() {
			return nil, 0, errors.New("the topic or the cluster is not the one that the repair began with")
		}
		found, err := r.Target.Found(ctx, tp, pin.Topic, x.End, x.PID)
		if err != nil {
			return nil, 0, err
		}
		if found.LogStart > x.End {
			return nil, 0, errors.New("the topic was trimmed since: what the earlier repair stored cannot be seen any more")
		}
		next := x.From
		for _, b := range found.Batches {
			next = max(next, x.From+streamdown.Ordinal(b.Sequence)+streamdown.Ordinal(b.Count))
		}
		s.Found = int64(next - x.From)
		return x, next, nil
	}
	lane, err := r.Log.Lane(tp)
	if err != nil {
		return nil, 0, err
	}
	x := &Intent{Lane: lane, Topic: s.Topic, Partition: s.Partition, Cluster: pin.Cluster, TopicID: pin.Topic.String(), From: s.From, To: s.To, End: pin.End}
	if x.PID, err = r.Target.NewProducerID(ctx); err != nil {
		return nil, 0, err
	}
	return x, s.From, r.note(ctx, x)
}

func (r *Repair) note(ctx context.Context, x *Intent) error {
	e, err := x.Entry()
	if err != nil {
		return err
	}
	if _, err := r.Log.Append(e); err != nil {
		return fmt.Errorf("note repair: %w", err)
	}
	return r.Log.Wait(ctx, e.End())
}

// send sends ordinals [from, to) of a batch, one request at a time: its records alone if it is not whole.
func (r *Repair) send(ctx context.Context, x *Intent, e *wal.Entry, from, to streamdown.Ordinal) error {
	raw := e.Body
	if from > e.Ordinal || to < e.Ordinal+streamdown.Ordinal(e.Count) {
		var err error
		if raw, err = cut(e, from, to); err != nil {
			return err
		}
	}
	id, err := streamdown.ParseID(x.TopicID)
	if err != nil {
		return fmt.Errorf("topic id of the repair: %w", err)
	}
	p := sink.Parcel{TopicPartition: streamdown.TopicPartition{Topic: x.Topic, Partition: x.Partition}, TopicID: id, Payload: raw[batch.HeaderSize:]}
	batch.Restamp(&p.Header, raw, batch.Stamp{ProducerID: x.PID, BaseSequence: int32((from - x.From) & (1<<31 - 1))})
	a, err := r.Target.Send(ctx, p)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrInDoubt, err)
	case a.Class == sink.OK:
		return nil
	case a.Class == sink.Refused || a.Class == sink.Poison || a.Class == sink.Forbidden:
		return fmt.Errorf("the target refuses it (code %d): %s", a.Code, a.Message)
	}
	return fmt.Errorf("%w: code %d: %s", ErrInDoubt, a.Code, a.Message)
}

// cut makes a batch of some records of another.
func cut(e *wal.Entry, from, to streamdown.Ordinal) ([]byte, error) {
	var b batch.Builder
	o := e.Ordinal
	for rec, err := range batch.Records(e.Body) {
		if err != nil {
			return nil, fmt.Errorf("take records out of the batch at %d: %w", e.LSN, err)
		}
		if o >= from && o < to {
			b.Append(rec.Timestamp, rec.Key, rec.Value, rec.Headers...)
		}
		o++
	}
	return b.Build(batch.None, batch.NoStamp)
}
