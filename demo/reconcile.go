package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/ui"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// reconcileLimit bounds the comparison.
const reconcileLimit = time.Minute

// Reconciled is what package reconcile found: the log against the topic, batch by batch.
type Reconciled struct {
	Verdict string            `json:"verdict"`
	Exit    int               `json:"exit"`
	Elapsed float64           `json:"elapsed_seconds"`
	Total   reconcile.Sums    `json:"total"`
	Worst   []reconcile.Range `json:"worst_ranges"`
}

// reconcile compares the log with the topic, beside the running node, as anybody could.
func (s *show) reconcile(ctx context.Context) (r *Reconciled, err error) {
	err = s.while(ctx, "reconcile the log with the topic", reconcileLimit, func(ctx context.Context) error {
		log, err := wal.OpenReader(vfs.OS{}, s.gateway.dir)
		if err != nil {
			return err
		}
		defer log.Close()
		client, err := kafka.New(kafka.Config{Bootstrap: []string{s.broker.addr()}, ClientID: "demo-reconcile"})
		if err != nil {
			return err
		}
		defer client.Close()
		rep, err := reconcile.Run(ctx, reconcile.Config{Log: log, Topic: reconcile.NewKafkaTopics(client)})
		if err != nil {
			return err
		}
		r = &Reconciled{Verdict: rep.Verdict, Exit: rep.Exit(), Elapsed: rep.Elapsed, Total: rep.Total, Worst: rep.Worst}
		return nil
	})
	return r, err
}

// tell adds what was found to the text.
func (r *Reconciled) tell(line func(label, format string, args ...any)) {
	t := &r.Total
	line("reconciled", "log with topic: %s of %s records compared, %s equal",
		ui.Exact(t.Compared), ui.Exact(t.Accepted), ui.Exact(t.Identical.Records+t.Rewritten.Records))
	line("", "%s altered · %s absent · %s reordered · %s doubled",
		ui.Exact(t.Altered.Records), ui.Exact(t.Absent.Records), ui.Exact(t.Reordered.Records), ui.Exact(t.Doubled.Records))
	for i, w := range r.Worst {
		if i == 2 {
			line("", "and more; --format json lists them")
			break
		}
		line("", "%s in %s/%d, %s records from ordinal %d on", w.Verdict, w.Topic, w.Partition, ui.Exact(w.Records), w.From)
	}
}

// void says why the comparison proves nothing, and is empty if it does prove something, good or bad.
func (r *Reconciled) void() string {
	if r.Exit == check.ExitOK || r.Exit == check.ExitIntegrity {
		return ""
	}
	return fmt.Sprintf("reconciling log and topic: %s", r.Verdict)
}
