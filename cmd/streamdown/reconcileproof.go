package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/node"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/vfs"
)

// keptProof is a proof that is in a file and that the log knows.
type keptProof struct {
	File   string         `json:"file"`
	SHA256 string         `json:"sha256"`
	LSN    streamdown.LSN `json:"lsn"`
}

// keep writes a proof and notes it in the log.
func (r *reconciling) keep(ctx context.Context, o *options, p *reconcile.Proof) (*keptProof, error) {
	b, noted, err := p.Encode()
	if err != nil {
		return nil, err
	}
	path, err := filepath.Abs(r.proof)
	if err != nil {
		return nil, err
	}
	if err := vfs.WriteFile(vfs.OS{}, path, b); err != nil {
		return nil, fmt.Errorf("write the proof: %w", err)
	}
	at, err := r.note(ctx, o, noted)
	if err != nil {
		return nil, fmt.Errorf("the proof is in %s, and the log does not know of it: %w", r.proof, err)
	}
	return &keptProof{File: r.proof, SHA256: noted.SHA256, LSN: at}, nil
}

// note tells the log of a proof: through the process that owns the directory, or as its owner.
func (r *reconciling) note(ctx context.Context, o *options, noted reconcile.Noted) (at streamdown.LSN, err error) {
	if err := owns(r.dir); err != nil {
		return 0, err
	}
	idle, err := node.OpenIdle(r.cfg, o.logger(false))
	if errors.Is(err, vfs.ErrLocked) {
		c, err := o.client()
		if err != nil {
			return 0, err
		}
		ctx, cancel := o.within(ctx, askTimeout)
		defer cancel()
		var done api.NotedProof
		err = c.ask(ctx, http.MethodPost, "/v1/proofs", noted, &done)
		return done.LSN, err
	}
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, idle.Close(ctx)) }()
	return idle.NoteProof(ctx, noted)
}

// checkProof tells whether the log knows a proof.
func (r *reconciling) checkProof(ctx context.Context, o *options) error {
	file, err := os.ReadFile(r.check)
	if err != nil {
		return unchecked(err)
	}
	log, rows, err := r.logs()
	if err != nil {
		return unchecked(err)
	}
	defer log.Close()
	noted, at, when, err := reconcile.FindNoted(ctx, log, rows, file)
	if errors.Is(err, reconcile.ErrNotNoted) {
		return &exitError{code: exitIntegrity, err: err, try: "the file as it was written, with the log that it was made of; the ledger keeps what it knew as long as data.ledger says"}
	}
	if err != nil {
		return unchecked(err)
	}
	if o.json() {
		return printJSON(o.out, struct {
			SchemaVersion int `json:"schema_version"`
			reconcile.Noted
			LSN     streamdown.LSN `json:"lsn"`
			NotedAt time.Time      `json:"noted_at"`
		}{1, noted, at, when}, false)
	}
	_, err = fmt.Fprintf(o.out, "known: %s, compared %d of %d records, made at %s; the log noted it at %s, position %d\n",
		noted.Verdict, noted.Compared, noted.Accepted, noted.At.Format(time.RFC3339), when.Format(time.RFC3339), at)
	return err
}
