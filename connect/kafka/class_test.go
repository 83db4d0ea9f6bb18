package kafka

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/streamdown/streamdown/sink"
)

// Codes that may come although the batch is in the log must never be taken for a refusal: an epoch bumped on their
// word (rule C5), or a batch split, would store it twice.
func TestCodesThatComeAfterTheAppendAreInDoubt(t *testing.T) {
	for code, why := range map[int16]string{
		-1: "UNKNOWN_SERVER_ERROR", 3: "topic deleted while replicas were awaited", 6: "leadership lost meanwhile", 7: "replicas slow",
		13: "NETWORK_EXCEPTION", 20: "replicas lost meanwhile", 46: "a duplicate, so an earlier copy is there", 56: "disk failed in the middle",
		100: "topic id", 103: "topic id", 89: "nobody classified it", 32000: "not invented yet",
	} {
		switch c := Class(code); c {
		case sink.Doubt, sink.Moved, sink.OutOfOrder:
		default:
			t.Errorf("code %d (%s) is %v", code, why, c)
		}
	}
	if Class(0) != sink.OK || Class(19) != sink.Refused || Class(89) != sink.Doubt {
		t.Error("0, 19 or 89")
	}
}

func TestErrorsSayWhatTheyMean(t *testing.T) {
	refused := &ConnError{Addr: "k:1", Trouble: DialRefused, Err: io.EOF}
	silent := &ConnError{Addr: "k:2", Trouble: PeerSilent, Err: io.EOF}
	for _, tt := range []struct {
		err   error
		class sink.Class
		reset bool
		words string
	}{
		{nil, sink.OK, false, ""},
		{io.EOF, sink.Doubt, false, "EOF"},
		{fmt.Errorf("look: %w", refused), sink.Doubt, true, "is the broker running"},
		{errors.Join(refused, silent), sink.Doubt, false, "silent"},
		{errors.Join(refused, refused), sink.Doubt, true, "k:1"},
		{fmt.Errorf("%w: %w", ErrUnsent, refused), sink.Refused, true, "nothing of it was sent"},
		{replyError(29, nil, "produce"), sink.Forbidden, false, "TOPIC_AUTHORIZATION_FAILED (29): give our user DESCRIBE, WRITE and READ"},
		{replyError(31999, nil, "produce"), sink.Doubt, false, "error code 31999"},
		{fmt.Errorf("ask: %w", &UnsupportedError{Addr: "k:1", API: "DescribeProducers", Most: -1}), sink.Forbidden, false, "a newer broker is needed"},
	} {
		if got := ClassOf(tt.err); got != tt.class {
			t.Errorf("%v: class %v", tt.err, got)
		}
		if Reset(tt.err) != tt.reset {
			t.Errorf("%v: reset %v", tt.err, !tt.reset)
		}
		if tt.err != nil && !strings.Contains(tt.err.Error(), tt.words) {
			t.Errorf("%q does not say %q", tt.err, tt.words)
		}
	}
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	err := Config{Bootstrap: []string{"nohost", ":9092"}, DialTimeout: -1, ProduceTimeout: 1 << 40, MaxResponseBytes: 5}.Validate()
	for _, want := range []string{`"nohost"`, `":9092"`, "dial timeout", "produce timeout", "max response bytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("no bootstrap was taken")
	}
	if err := (Config{Bootstrap: []string{"k:9092"}}).Validate(); err != nil {
		t.Error(err)
	}
}
