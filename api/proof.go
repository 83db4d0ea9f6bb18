package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/reconcile"
)

// ProofKeeper is a Control that can note proofs in the log.
type ProofKeeper interface {
	// NoteProof makes it durable that a proof was made, and returns where the log has it. After an error it may be or not.
	NoteProof(ctx context.Context, n reconcile.Noted) (streamdown.LSN, error)
}

// NotedProof is the answer to POST /v1/proofs: the log knows the proof.
type NotedProof struct {
	SchemaVersion int            `json:"schema_version"`
	SHA256        string         `json:"sha256"`
	LSN           streamdown.LSN `json:"lsn"`
}

func (h *handler) noteProof(w http.ResponseWriter, r *http.Request) {
	const try = "send what streamdown reconcile --proof sends: sha256, verdict, accepted_records, compared_records, at"
	keeper, ok := h.control.(ProofKeeper)
	if !ok {
		problem{Status: http.StatusNotImplemented, Title: "not here", Detail: "this process keeps no log", Try: "ask the process that owns the log"}.write(w)
		return
	}
	var n reconcile.Noted
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
	d.DisallowUnknownFields()
	if err := d.Decode(&n); err != nil {
		refuse(w, err, try)
		return
	}
	if err := n.Check(); err != nil {
		refuse(w, err, try)
		return
	}
	about(r.Context(), n.SHA256, n.Verdict)
	ctx, cancel := context.WithTimeout(r.Context(), orderTimeout)
	defer cancel()
	at, err := keeper.NoteProof(ctx, n)
	if err != nil {
		notDone(w, "note proof "+n.SHA256, err)
		return
	}
	h.log.Info("noted a proof", "sha256", n.SHA256, "verdict", n.Verdict, "lsn", at)
	writeJSON(w, http.StatusOK, "application/json", NotedProof{SchemaVersion: SchemaVersion, SHA256: n.SHA256, LSN: at})
}
