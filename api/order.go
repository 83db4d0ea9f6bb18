package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/streamdown/streamdown"
)

const (
	maxOrder  = 16 << 10 // bytes of a request body
	maxReason = 1000     // bytes; it is kept in the log

	// orderTimeout bounds the wait for an order to become durable: a log that cannot write must not hold people.
	orderTimeout = 10 * time.Second
)

// Order is the body of POST /v1/hold and /v1/resume.
type Order struct {
	Target string `json:"target"`           // "*", a topic, or topic/partition
	Reason string `json:"reason,omitempty"` // for people, one line; hold needs one
}

// Ordered is the answer: the order is durable.
type Ordered struct {
	SchemaVersion int      `json:"schema_version"`
	Target        string   `json:"target"`
	Held          bool     `json:"held"`
	Reason        string   `json:"reason"`
	Lanes         int      `json:"lanes"`         // that the target covers now; those to come are covered as well
	StillHeldBy   []string `json:"still_held_by"` // after a resume: other holds that cover some of the same lanes
}

func (h *handler) hold(w http.ResponseWriter, r *http.Request) {
	o, ok := readOrder(w, r)
	if !ok {
		return
	}
	o.Reason = strings.TrimSpace(o.Reason)
	about(r.Context(), o.Target, printable(o.Reason))
	if err := checkReason(o.Reason); err != nil {
		refuse(w, err, `add "reason": "why", for whoever finds the lanes held`)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), orderTimeout)
	defer cancel()
	if err := h.control.Hold(ctx, o.Target, o.Reason); err != nil {
		notDone(w, "hold "+o.Target, err)
		return
	}
	h.log.Info("held", "target", o.Target, "reason", o.Reason)
	s := h.status(r.Context())
	writeJSON(w, http.StatusOK, "application/json", Ordered{
		SchemaVersion: SchemaVersion, Target: o.Target, Held: true, Reason: o.Reason, Lanes: covered(&s, o.Target), StillHeldBy: []string{},
	})
}

func (h *handler) resume(w http.ResponseWriter, r *http.Request) {
	o, ok := readOrder(w, r)
	if !ok {
		return
	}
	about(r.Context(), o.Target, printable(o.Reason))
	if o.Reason != "" {
		if err := checkReason(o.Reason); err != nil {
			refuse(w, err, "a shorter or plainer reason, or none")
			return
		}
	}
	s := h.status(r.Context())
	if !resumable(&s, o.Target) {
		problem{
			Status: http.StatusNotFound, Title: "nothing to resume", Detail: o.Target + " is neither held nor stopped",
			Try: "streamdown status lists what is; a hold is resumed under the name that it was given",
		}.write(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), orderTimeout)
	defer cancel()
	if err := h.control.Resume(ctx, o.Target); err != nil {
		notDone(w, "resume "+o.Target, err)
		return
	}
	h.log.Info("resumed", "target", o.Target, "reason", o.Reason)
	answer := Ordered{SchemaVersion: SchemaVersion, Target: o.Target, Reason: o.Reason, Lanes: covered(&s, o.Target), StillHeldBy: []string{}}
	for _, hold := range s.Holds {
		if hold.Target != o.Target && (covers(hold.Target, o.Target) || covers(o.Target, hold.Target)) {
			answer.StillHeldBy = append(answer.StillHeldBy, hold.Target)
		}
	}
	slices.Sort(answer.StillHeldBy)
	writeJSON(w, http.StatusOK, "application/json", answer)
}

// covers reports whether the lanes of inner are among those of outer; both are valid targets.
func covers(outer, inner string) bool {
	return outer == "*" || outer == inner || strings.HasPrefix(inner, outer+"/")
}

func covered(s *Status, target string) (n int) {
	for i := range s.Lanes {
		if covers(target, s.Lanes[i].name()) {
			n++
		}
	}
	return n
}

func resumable(s *Status, target string) bool {
	for _, h := range s.Holds {
		if h.Target == target {
			return true
		}
	}
	for i := range s.Lanes {
		if s.Lanes[i].Stop != nil && covers(target, s.Lanes[i].name()) {
			return true
		}
	}
	return false
}

func (l *Lane) name() string { return l.Topic + "/" + strconv.Itoa(int(l.Partition)) }

// readOrder answers the request itself if the order is not one.
func readOrder(w http.ResponseWriter, r *http.Request) (o Order, ok bool) {
	if !readBody(w, r, &o, `send {"target": "*" or "topic" or "topic/partition", "reason": "why"}`) {
		return o, false
	}
	if err := CheckTarget(o.Target); err != nil {
		refuse(w, err, `"*" for all lanes, a topic, or topic/partition`)
		return o, false
	}
	return o, true
}

// readBody reads one JSON value without unknown fields into o, or answers the request itself.
func readBody(w http.ResponseWriter, r *http.Request, o any, try string) bool {
	// A form cannot send this type, so a page that is older than CrossOriginProtection's headers cannot either.
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		problem{
			Status: http.StatusUnsupportedMediaType, Title: "unsupported media type",
			Detail: "the body has to be JSON and to say so", Try: "send the header Content-Type: application/json",
		}.write(w)
		return false
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
	d.DisallowUnknownFields()
	err := d.Decode(o)
	if err == nil {
		if _, end := d.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("there is more than one JSON value")
			if end != nil {
				err = end
			}
		}
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		problem{
			Status: http.StatusRequestEntityTooLarge, Title: "body too large", Detail: fmt.Sprintf("it has more than %d bytes", maxOrder),
			Try: "give a shorter reason",
		}.write(w)
		return false
	}
	if err != nil {
		refuse(w, err, try)
		return false
	}
	return true
}

func refuse(w http.ResponseWriter, err error, try string) {
	problem{Status: http.StatusBadRequest, Title: "not an order", Detail: err.Error(), Try: try}.write(w)
}

// notDone answers an order that failed. It may be durable all the same: it was handed to the log.
func notDone(w http.ResponseWriter, what string, err error) {
	problem{
		Status: http.StatusServiceUnavailable, Title: "not done", Detail: what + ": " + err.Error(),
		Try: "streamdown status shows whether it took effect and how the log stands; give the order again",
	}.write(w)
}

// CheckTarget reports what is wrong with the target of an order.
func CheckTarget(target string) error {
	if target == "*" {
		return nil
	}
	if target == "" {
		return errors.New("there is no target")
	}
	topic, partition, found := strings.Cut(target, "/")
	if !streamdown.ValidTopic(topic) {
		return fmt.Errorf("target %.300q names no topic that Kafka could have", target)
	}
	if found {
		n, err := strconv.ParseUint(partition, 10, 31)
		if err != nil || n > math.MaxInt32 || strconv.FormatUint(n, 10) != partition {
			return fmt.Errorf("target %.300q: the partition is not a number", target)
		}
	}
	return nil
}

// checkReason wants a line that can be shown on any terminal.
func checkReason(reason string) error {
	switch {
	case reason == "":
		return errors.New("there is no reason")
	case len(reason) > maxReason:
		return fmt.Errorf("the reason has %d bytes, at most %d are kept", len(reason), maxReason)
	case !utf8.ValidString(reason) || strings.IndexFunc(reason, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0:
		return errors.New("the reason has characters that cannot be shown on one line")
	}
	return nil
}
