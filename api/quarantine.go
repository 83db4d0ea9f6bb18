package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/quarantine"
)

// Custodian is a Control that has a quarantine. Without it its routes are answered with 501. Its methods may be called
// concurrently. Their errors are *Refused where there is something to say about the batch.
type Custodian interface {
	// Quarantine lists what is in quarantine, and what was lately, from memory.
	Quarantine() []Quarantined
	// QuarantineFile returns a batch's file, for quarantine.Parse.
	QuarantineFile(id string) ([]byte, error)
	// Retry sends a batch again unless it is at the target; Discard gives it up. What they say is durable. With DryRun they
	// stop before the first change.
	Retry(ctx context.Context, o QuarantineOrder) (QuarantineDone, error)
	Discard(ctx context.Context, o QuarantineOrder) (QuarantineDone, error)
}

// Quarantined is one batch that the target refused for good.
type Quarantined struct {
	ID        string             `json:"id"` // TOPIC/PARTITION@ORDINAL
	State     string             `json:"state"`
	Topic     string             `json:"topic"`
	Partition int32              `json:"partition"`
	From      streamdown.Ordinal `json:"from_ordinal"`
	To        streamdown.Ordinal `json:"to_ordinal"` // behind the last record
	Records   int64              `json:"records"`
	Bytes     int                `json:"bytes"`
	Arrival   time.Time          `json:"arrival"`
	At        time.Time          `json:"quarantined_at"`
	Code      int16              `json:"code"` // Kafka's
	Reason    string             `json:"reason"`
	// SentAgain is the producer id under which it was sent again, or is about to be; null if it never was.
	SentAgain *int64             `json:"sent_again_as"`
	Settled   *time.Time         `json:"settled_at"` // when it was late or discarded
	Offset    *streamdown.Offset `json:"offset"`     // of its first record, once it is at the target
	By        string             `json:"by"`         // who ordered what became of it, and why
	Why       string             `json:"why"`
}

// QuarantineList is the answer to GET /v1/quarantine.
type QuarantineList struct {
	SchemaVersion int           `json:"schema_version"`
	Batches       []Quarantined `json:"batches"`
}

// QuarantineOrder is the body of POST /v1/quarantine/retry and /v1/quarantine/discard.
type QuarantineOrder struct {
	ID       string `json:"id"`
	Reason   string `json:"reason,omitempty"` // discard needs one
	DryRun   bool   `json:"dry_run,omitempty"`
	Unproven bool   `json:"unproven,omitempty"` // retry although it cannot be shown that no copy is at the target
}

// QuarantineDone is what came of an order.
type QuarantineDone struct {
	SchemaVersion int         `json:"schema_version"` // filled in by the handler
	DryRun        bool        `json:"dry_run"`
	Outcome       string      `json:"outcome"` // sent, found, discarded; of a dry run: found, would send, would discard
	Batch         Quarantined `json:"batch"`
}

// Refused is an order about a batch that cannot be carried out, in words for people.
type Refused struct {
	Status             int // of HTTP
	Title, Detail, Try string
}

// Error implements error.
func (e *Refused) Error() string { return e.Title + ": " + e.Detail }

// QuarantineStatus sums up the quarantine.
type QuarantineStatus struct {
	Batches int64 `json:"batches"` // that wait for a person
	Records int64 `json:"records"`
}

// retryTimeout bounds a retry, which asks the target and reads there, below what the server takes for an answer.
const retryTimeout = 25 * time.Second

func (h *handler) custodian(w http.ResponseWriter) (Custodian, bool) {
	c, ok := h.control.(Custodian)
	if !ok {
		problem{
			Status: http.StatusNotImplemented, Title: "no quarantine", Detail: "this process has none", Try: "streamdown quarantine ls --data DIR",
		}.write(w)
	}
	return c, ok
}

func (h *handler) listQuarantine(w http.ResponseWriter, _ *http.Request) {
	if c, ok := h.custodian(w); ok {
		writeJSON(w, http.StatusOK, "application/json", QuarantineList{SchemaVersion, list(c.Quarantine())})
	}
}

// showQuarantined hands a batch's file over: it has records of users, so a viewer may not have it.
func (h *handler) showQuarantined(w http.ResponseWriter, r *http.Request) {
	c, ok := h.custodian(w)
	if !ok {
		return
	}
	file, err := c.QuarantineFile(r.PathValue("topic") + "/" + r.PathValue("batch"))
	if err != nil {
		notSettled(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(file) // who went away needs no answer
}

func (h *handler) retryQuarantined(w http.ResponseWriter, r *http.Request) {
	h.settle(w, r, false, Custodian.Retry)
}

func (h *handler) discardQuarantined(w http.ResponseWriter, r *http.Request) {
	h.settle(w, r, true, Custodian.Discard)
}

func (h *handler) settle(w http.ResponseWriter, r *http.Request, why bool, do func(Custodian, context.Context, QuarantineOrder) (QuarantineDone, error)) {
	var o QuarantineOrder
	if !readBody(w, r, &o, `send {"id": "topic/partition@ordinal", "reason": "why"}`) {
		return
	}
	o.Reason = strings.TrimSpace(o.Reason)
	said := printable(o.Reason)
	if o.DryRun {
		said = strings.TrimSpace("a dry run " + said)
	}
	about(r.Context(), printable(o.ID), said)
	if _, _, err := quarantine.ParseID(o.ID); err != nil {
		refuse(w, err, "streamdown quarantine ls")
		return
	}
	if why || o.Reason != "" {
		if err := checkReason(o.Reason); err != nil {
			refuse(w, err, `add "reason": "why", for whoever asks for these records one day`)
			return
		}
	}
	c, ok := h.custodian(w)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), retryTimeout)
	defer cancel()
	done, err := do(c, ctx, o)
	if err != nil {
		notSettled(w, err)
		return
	}
	done.SchemaVersion, done.DryRun = SchemaVersion, o.DryRun
	h.log.Info("quarantine", "batch", o.ID, "outcome", done.Outcome, "reason", o.Reason)
	writeJSON(w, http.StatusOK, "application/json", done)
}

func notSettled(w http.ResponseWriter, err error) {
	if r := (*Refused)(nil); errors.As(err, &r) {
		problem{Status: r.Status, Title: r.Title, Detail: r.Detail, Try: r.Try}.write(w)
		return
	}
	problem{
		Status: http.StatusServiceUnavailable, Title: "not done", Detail: err.Error(),
		Try: "streamdown status; the same order again looks first at what became of this one",
	}.write(w)
}

var (
	quarantinedBatches = desc("quarantined_batches", "Batches in quarantine: the target refuses them for what they are, and a person has to decide.")
	quarantinedRecords = desc("quarantined_records", "Records of the batches in quarantine; they are on this disk only.")
)

func (c collector) collectQuarantine(e emitter) {
	e.gauge(quarantinedBatches, float64(c.s.Quarantine.Batches))
	e.gauge(quarantinedRecords, float64(c.s.Quarantine.Records))
}
