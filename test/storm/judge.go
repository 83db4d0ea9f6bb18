package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/test/process"
	"github.com/streamdown/streamdown/test/reader"
)

// judge waits for the drain, ends the gateway, and compares.
func (r *run) judge(ctx context.Context) error {
	if err := r.inSync(ctx); err != nil {
		return err
	}
	if err := r.drained(ctx); err != nil {
		return err
	}
	if u, err := r.gateway.Usage(); err == nil {
		r.result.GatewayMiB = u.ResidentBytes >> 20
	}
	if err := r.gateway.Stop(ctx); err != nil {
		return err
	}
	began := time.Now()
	rep, err := r.reconcile(ctx)
	if err != nil {
		return err
	}
	r.log.Info("reconciled", "elapsed", time.Since(began), "report", rep.String())
	began = time.Now()
	for _, t := range r.topics {
		if err := r.verdict(ctx, t, rep); err != nil {
			return err
		}
	}
	r.log.Info("read", "elapsed", time.Since(began))
	if u, err := process.UsageOf(os.Getpid()); err == nil {
		r.result.JudgeMiB = u.ResidentBytes >> 20
	}
	r.result.Verdict = rep.Verdict
	if rep.Total.Coverage != nil {
		r.result.Coverage = *rep.Total.Coverage
	}
	for _, x := range rep.Worst {
		if x.Verdict.Violation() {
			r.result.Reported = append(r.result.Reported, x.String())
		}
	}
	if rep.Total.Accepted != int64(r.result.Records) { //nolint:gosec // small
		r.wrong("the log took %d records, producers had acks for %d", rep.Total.Accepted, r.result.Records)
	}
	if n := rep.Total.Unexplained.Records + rep.Total.Altered.Records + rep.Total.Foreign.Records; n > 0 {
		r.wrong("reconcile cannot say of %d records what became of them, finds %d altered and %d foreign",
			rep.Total.Unexplained.Records, rep.Total.Altered.Records, rep.Total.Foreign.Records)
	}
	return nil
}

func (r *run) wrong(format string, args ...any) {
	r.result.Wrong = append(r.result.Wrong, fmt.Sprintf(format, args...))
}

// drained waits until the gateway has nothing left to send, or nothing but what stopped lanes have.
func (r *run) drained(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := r.status(ctx)
		if err != nil {
			return err
		}
		waits := false
		r.result.Stopped = nil
		for i := range s.Lanes {
			l := &s.Lanes[i]
			stopped := l.Stop != nil && !l.Stop.Retry
			waits = waits || l.Backlog > 0 && !stopped
			if stopped {
				r.result.Stopped = append(r.result.Stopped, fmt.Sprintf("%s/%d: %s", l.Topic, l.Partition, l.Stop.Reason))
			}
		}
		if !waits && len(s.Lanes) > 0 {
			r.result.Scans = s.Forward.Scans
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the drain: %w; breaker %s: %s; lanes %+v", ctx.Err(), s.Target.Breaker, s.Target.BreakerWhy, s.Lanes)
		}
	}
}

func (r *run) status(ctx context.Context) (s api.Status, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.gateway.HTTP()+"/v1/status", nil)
	if err != nil {
		return s, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return s, err
	}
	return s, errors.Join(json.NewDecoder(resp.Body).Decode(&s), resp.Body.Close())
}

func (r *run) reconcile(ctx context.Context) (*reconcile.Report, error) {
	out, err := exec.CommandContext(ctx, r.binary, "reconcile", "-c", r.gateway.Config(), "--format", "json").Output() //nolint:gosec // ours
	rep := &reconcile.Report{}
	if jsonErr := json.Unmarshal(out, rep); jsonErr != nil {
		return nil, fmt.Errorf("reconcile: %w: %w: %s", err, jsonErr, out)
	}
	return rep, nil
}

// verdict reads a topic from its start and compares.
func (r *run) verdict(ctx context.Context, t *topic, rep *reconcile.Report) error {
	for i, res := range t.results {
		if res.Failed > 0 || res.Acked != res.Sent {
			r.wrong("%s: producer %d sent %d, had %d acks and gave up on %d: %s", t.name, i, res.Sent, res.Acked, res.Failed, res.FirstFailure)
		}
		r.result.Silence = max(r.result.Silence, res.Silence.Seconds())
	}
	var judge reader.Judge = t.checker
	if t.exact {
		judge = t.witness
	}
	rd, err := reader.Open(r.cluster.Addrs()[0], t.name, t.partitions, judge)
	if err != nil {
		return err
	}
	err = rd.CatchUp(ctx)
	rd.Close()
	if err != nil {
		return err
	}
	found := t.checker.Final()
	r.log.Info("judged", "topic", t.name, "report", found.String())
	res := &r.result
	res.Records += found.Acked
	res.Read += found.Read
	res.Lost += found.Lost
	res.Doubled += found.Duplicate
	res.Reordered += found.Reordered
	res.Other += found.Phantom + found.Misrouted + found.Corrupt
	if len(found.Void) > 0 {
		r.wrong("%s: void: %v", t.name, found.Void)
	}
	if !t.exact {
		r.even(t, &found, rep)
		return nil
	}
	r.compare(t, rep)
	return nil
}

// compare holds what the witness of a topic saw against the report.
func (r *run) compare(t *topic, rep *reconcile.Report) {
	said, unlisted := claimed(rep, t.name)
	r.result.Unlisted = unlisted
	var found []*claims
	differences := func(n uint64, lines []string) {
		r.result.Unexplained += n
		for _, l := range lines[:min(len(lines), 20)] {
			r.log.Error("the two sides differ", "topic", t.name, "what", l)
		}
	}
	for p := range t.partitions {
		theirs := said[p]
		if theirs == nil {
			theirs = &claims{}
		}
		found = append(found, t.witness.found(p))
		differences(differ(p, found[p], theirs, unlisted == 0))
	}
	for i := range rep.Topics {
		if rep.Topics[i].Topic == t.name {
			differences(totals(found, &rep.Topics[i].Sums))
		}
	}
}

// even wants a topic without any violation, on both sides.
func (r *run) even(t *topic, found *check.Report, rep *reconcile.Report) {
	r.result.Unexplained += found.Lost + found.Duplicate + found.Reordered
	if found.Failures() > 0 {
		for _, v := range slices.Sorted(maps.Keys(found.Examples)) {
			r.log.Error("examples", "topic", t.name, "verdict", v, "of", found.Examples[v])
		}
	}
	for i := range rep.Topics {
		s := &rep.Topics[i]
		if s.Topic == t.name {
			r.result.Unexplained += uint64(s.Absent.Records + s.Doubled.Records + s.Reordered.Records + s.Pending.Records) //nolint:gosec // counts
		}
	}
}
