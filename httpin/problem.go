package httpin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/ingest"
)

// Problem is an error as a producer meets it (RFC 9457). It is an error.
type Problem struct {
	Type   string `json:"type"` // always about:blank: title and code say it
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"` // stable, for programs
	Detail string `json:"detail"`
	Try    string `json:"try"` // what to do
	// Stored says what became of the records: "none", "some" (see Records) or "unknown".
	Stored  string          `json:"stored"`
	Errors  []recordProblem `json:"errors,omitempty"`  // of single records, at most maxErrors
	Records json.RawMessage `json:"records,omitempty"` // when some were stored, as in a good answer

	retry time.Duration // of Retry-After; 0 = none
	close bool          // the rest of the request is not worth reading
}

// recordProblem is what is wrong with one record of a request.
type recordProblem struct {
	Record int    `json:"record"` // its place in the request, from 0
	Detail string `json:"detail"`
}

// maxErrors bounds the records that one problem names.
const maxErrors = 20

// Error returns title and detail.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

func refuse(status int, code, title, try, format string, args ...any) *Problem {
	return &Problem{Status: status, Code: code, Title: title, Try: try, Detail: fmt.Sprintf(format, args...)}
}

func (p *Problem) after(d time.Duration) *Problem {
	p.retry = d
	return p
}

func (p *Problem) closing() *Problem {
	p.close = true
	return p
}

// of names the record that the problem is about.
func (p *Problem) of(record int) *Problem {
	p.Errors = append(p.Errors, recordProblem{record, p.Detail})
	p.Detail = fmt.Sprintf("record %d: %s", record, p.Detail)
	return p
}

func (p *Problem) write(w http.ResponseWriter) {
	p.Type = "about:blank"
	p.Detail = streamdown.Shorten(p.Detail, 1024)
	if p.Stored == "" {
		p.Stored = "none"
	}
	b, err := json.Marshal(p)
	if err != nil {
		b = []byte(`{"type":"about:blank","title":"internal error","status":500}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retry+time.Second-1)/time.Second)))
	}
	if p.close {
		h.Set("Connection", "close")
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(b, '\n')) // who went away needs no answer
}

func malformed(what string, err error) *Problem {
	return refuse(http.StatusBadRequest, "malformed", "malformed request", "compare the body with the examples in docs/http-ingest.md", "%s: %v", what, err)
}

func invalid(format string, args ...any) *Problem {
	return refuse(http.StatusUnprocessableEntity, "invalid", "not storable as it is", "compare the request with /openapi.json", format, args...)
}

// retryAfter is how long a producer should wait before it sends again what found no room.
const retryAfter = 2 * time.Second

const tryLater = "send the same request again after Retry-After; with an Idempotency-Key it is stored once whatever happened"

// ofResult is the problem that a refusal by the intake makes, in Kafka's code.
func ofResult(topic string, r *ingest.Result) *Problem {
	why := r.Message
	if e := kerr.TypedErrorForCode(r.Code); why == "" && e != nil {
		why = e.Description
	}
	switch {
	case r.Close:
		return undecided("the log did not say in time whether it has the records")
	case r.Code == kerr.UnknownTopicOrPartition.Code:
		return unknownTopic(topic)
	case r.Code == kerr.TopicAuthorizationFailed.Code:
		return refuse(http.StatusNotFound, "topic_not_taken", "no stream takes this topic", "add it to `streams` in the configuration", "%s", why)
	case r.Code == kerr.MessageTooLarge.Code, r.Code == kerr.RecordListTooLarge.Code:
		return refuse(http.StatusRequestEntityTooLarge, "record_too_large", "too large for the topic", "send smaller records or raise the topic's max.message.bytes", "%s", why)
	case r.Code == kerr.KafkaStorageError.Code:
		return refuse(http.StatusServiceUnavailable, "no_room", "the log has no room", tryLater, "%s", why).after(retryAfter)
	case r.Code == kerr.UnknownServerError.Code: // kept in quarantine, of a stream that rejects what is isolated
		p := refuse(http.StatusUnprocessableEntity, "quarantined", "the target refuses it", "streamdown quarantine ls shows it and why", "%s", why)
		p.Stored = "unknown"
		return p
	case r.Code == kerr.NotEnoughReplicas.Code:
		return refuse(http.StatusServiceUnavailable, "isolated", "the target does not confirm", tryLater, "%s", why).after(retryAfter)
	}
	return invalid("%s", why)
}

func unknownTopic(topic string) *Problem {
	return refuse(http.StatusNotFound, "unknown_topic", "unknown topic", "create it at the target, or correct the name", "the target has no topic %q", streamdown.Shorten(topic, 249))
}

func undecided(why string) *Problem {
	p := refuse(http.StatusServiceUnavailable, "undecided", "neither yes nor no would be true",
		"send it again with the same Idempotency-Key; without one, records may be there twice afterwards", "%s", why).after(retryAfter)
	p.Stored = "unknown"
	return p
}

// asProblem makes any error one.
func asProblem(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return malformed("body", err)
}
