package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/tally"
)

// SchemaVersion is the version of the JSON form of Result. Fields are only added to it.
const SchemaVersion = 1

// The verdicts.
const (
	Proved     = "proved"
	Failed     = "failed"          // records are lost, doubled, out of order, foreign or damaged
	Errors     = "producer_errors" // all that was acked is right, but producers were told of errors
	NotChecked = "not_checked"     // too little happened to prove anything
)

// Result is what a run has shown. Durations are in seconds; what is not known is null.
type Result struct {
	SchemaVersion  int      `json:"schema_version"`
	Verdict        string   `json:"verdict"`
	Void           []string `json:"void"`   // why it is not checked
	Broker         string   `json:"broker"` // never a Kafka
	Seed           uint64   `json:"seed"`
	Plant          *string  `json:"plant"`   // the fault that was asked for
	Planted        *string  `json:"planted"` // what it did
	Producers      int      `json:"producers"`
	Partitions     int      `json:"partitions"`
	Sent           uint64   `json:"sent"`
	Acked          uint64   `json:"acked"`
	Delivered      uint64   `json:"delivered"` // acked, and read by the consumer
	Lost           uint64   `json:"lost"`
	Duplicated     uint64   `json:"duplicated"`
	Reordered      uint64   `json:"reordered"`
	Phantom        uint64   `json:"phantom"`
	Misrouted      uint64   `json:"misrouted"`
	Corrupt        uint64   `json:"corrupt"`
	ProducerErrors int64    `json:"producer_errors"`
	ProducerError  *string  `json:"producer_error"` // the first
	Seconds        float64  `json:"seconds"`
	OutageSeconds  float64  `json:"outage_seconds"`
	DrainedSeconds float64  `json:"drained_seconds"` // from the broker's return until all that waited was confirmed
	Backlog        int64    `json:"backlog_records"` // that waited when the broker returned
	AckedOutage    uint64   `json:"acked_during_outage"`
	AckBefore      Latency  `json:"ack_before"`
	AckOutage      Latency  `json:"ack_during_outage"`
	AckAfter       Latency  `json:"ack_after"`

	Reconcile *Reconciled  `json:"reconcile"`
	Check     check.Report `json:"check"`
	Dir       string       `json:"dir,omitempty"` // of the run, if it was kept
}

// Latency is how long acks took, from the producers' side.
type Latency struct {
	Count uint64   `json:"count"`
	P50   *float64 `json:"p50_seconds"`
	P99   *float64 `json:"p99_seconds"`
}

func latency(h *tally.Histogram) Latency {
	s := h.Snapshot()
	l := Latency{Count: s.Total}
	if s.Total > 0 {
		p50, p99 := s.Quantile(0.5).Seconds(), s.Quantile(0.99).Seconds()
		l.P50, l.P99 = &p50, &p99
	}
	return l
}

// Exit returns the exit code: 0 proved, 1 producers were told of errors, 4 failed, 6 not checked.
func (r *Result) Exit() int {
	switch r.Verdict {
	case Proved:
		return check.ExitOK
	case Failed:
		return check.ExitIntegrity
	case NotChecked:
		return check.ExitNotChecked
	}
	return 1
}

// judge computes the verdict. The consumer has read everything.
func (s *show) judge(ctx context.Context) (*Result, error) {
	rep := s.checker.Final()
	failed, why := s.load.errors()
	r := &Result{
		SchemaVersion: SchemaVersion, Broker: BrokerName, Seed: s.cfg.Seed, Void: rep.Void, Check: rep,
		Producers: s.cfg.Producers, Partitions: s.cfg.Partitions,
		Sent: rep.Sent, Acked: rep.Acked, Delivered: rep.Delivered, Lost: rep.Lost, Duplicated: rep.Duplicate, Reordered: rep.Reordered,
		Phantom: rep.Phantom, Misrouted: rep.Misrouted, Corrupt: rep.Corrupt, ProducerErrors: failed,
		OutageSeconds: s.upAt.Sub(s.downAt).Seconds(), DrainedSeconds: s.drained.Seconds(), Backlog: s.backlog,
		AckBefore: latency(&s.load.acks[before]), AckOutage: latency(&s.load.acks[during]), AckAfter: latency(&s.load.acks[after]),
	}
	r.AckedOutage = r.AckOutage.Count
	if why != nil {
		text := why.Error()
		r.ProducerError = &text
	}
	if s.saboteur != nil {
		plant := string(s.cfg.Plant)
		r.Plant = &plant
		if did := s.saboteur.struck(); did != "" {
			r.Planted = &did
		} else {
			r.Void = append(r.Void, "the fault could not be planted: no batch of two or more records was sent after the outage")
		}
	}
	s.enter("reconcile", 0)
	var err error
	if r.Reconcile, err = s.reconcile(ctx); err != nil {
		return nil, err
	}
	if why := r.Reconcile.void(); why != "" {
		r.Void = append(r.Void, why)
	}
	switch {
	case rep.Exit() == check.ExitIntegrity, r.Reconcile.Exit == check.ExitIntegrity:
		r.Verdict = Failed
	case len(r.Void) > 0:
		r.Verdict = NotChecked
	case failed > 0:
		r.Verdict = Errors
	default:
		r.Verdict = Proved
	}
	if r.Void == nil {
		r.Void = []string{}
	}
	s.look(ctx, time.Now())
	s.settle()
	if left, err := s.gateway.stop(); err != nil || left > 0 {
		return nil, errors.Join(err, fmt.Errorf("the node stopped with %d records unconfirmed", left))
	}
	r.Seconds = time.Since(s.began).Seconds()
	return r, nil
}

// settle draws the last frame.
func (s *show) settle() {
	s.enter("done", 0)
	if s.view != nil {
		s.draw(time.Now())
	}
}
