package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/streamdown/streamdown/node"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// mend compares, plans and, if a person agrees, sends.
func (r *reconciling) mend(ctx context.Context, o *options) (err error) {
	var log *wal.Log
	if !r.dry {
		if err := owns(r.dir); err != nil {
			return err
		}
		idle, err := node.OpenIdle(r.cfg, o.logger(false))
		if errors.Is(err, vfs.ErrLocked) {
			return &exitError{
				code: exitFailed, err: fmt.Errorf("a process has the data directory %s: %w", r.dir, err),
				try: "--dry-run; or stop that process, repair, and start it again; while it runs it heals what it notices itself",
			}
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, idle.Close(ctx)) }()
		log = idle.Log
	}
	s, err := r.sources()
	if err != nil {
		return notCompared(err, r.system)
	}
	defer s.close()
	plan, err := r.plan(ctx, o, s)
	if err != nil {
		return notCompared(err, r.system)
	}
	plan.Log = log
	todo, refused := 0, 0
	for i := range plan.Steps {
		if plan.Steps[i].Refuse == "" {
			todo++
		} else {
			refused++
		}
	}
	if !o.json() {
		for i := range plan.Steps {
			fmt.Fprintln(o.out, plain(plan.Steps[i].String()))
		}
		fmt.Fprintf(o.out, "%s to send, %d that cannot be sent\n", count(todo, "range"), refused)
	}
	end := func(code int) error {
		if o.json() {
			err = printJSON(o.out, struct {
				SchemaVersion int              `json:"schema_version"`
				Steps         []reconcile.Step `json:"steps"`
			}{1, plan.Steps}, false)
		}
		return outcome(err, code)
	}
	after := exitOK
	if refused > 0 {
		after = exitIntegrity
	}
	switch {
	case todo == 0:
		return end(after)
	case r.dry:
		return end(max(after, exitNo))
	case !r.yes && !asked():
		return errors.Join(end(exitOK), &exitError{code: exitApproval, err: errors.New("nothing was sent: a person has to agree to the plan"), try: "the same with -y, or on a terminal"})
	}
	if err := plan.Run(ctx); err != nil {
		return notCompared(err, r.system)
	}
	var sent, found int64
	for i := range plan.Steps {
		sent, found = sent+plan.Steps[i].Sent, found+plan.Steps[i].Found
	}
	if !o.json() {
		fmt.Fprintf(o.out, "sent %s; %s of an earlier repair were stored already\n", count(sent, "record"), count(found, "record"))
	}
	return end(after)
}

// plan compares and says what there is to send.
func (r *reconciling) plan(ctx context.Context, o *options, s *sources) (*reconcile.Repair, error) {
	before, err := reconcile.Intents(ctx, s.log, s.rows)
	if err != nil {
		return nil, err
	}
	var absent []reconcile.Range
	_, err = reconcile.Run(ctx, reconcile.Config{
		Log: s.log, Ledger: s.rows, Topic: s.topics, Only: only(r.targets), Progress: o.progress("reconcile"),
		Found: func(x reconcile.Range) {
			if x.Verdict == reconcile.Absent {
				absent = append(absent, x)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	plan := &reconcile.Repair{Read: s.log, Target: s.topics, Steps: []reconcile.Step{}}
	return plan, plan.Plan(ctx, absent, before)
}
