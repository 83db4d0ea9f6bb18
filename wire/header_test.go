package wire

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every request that kmsg can write, in every version, must split into its header and exactly its body.
func TestHeaderOfEveryKnownRequest(t *testing.T) {
	id := "a client"
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		r := kmsg.RequestForKey(key)
		if r == nil {
			continue
		}
		for v := int16(0); v <= r.MaxVersion(); v++ {
			if key == controlledShutdown && v == 0 {
				continue // its header has no client id, which the formatter does not know
			}
			r.SetVersion(v)
			frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID(id)).AppendRequest(nil, r, 77)[4:]
			h, body, err := ParseRequestHeader(frame)
			if want := (RequestHeader{Key: key, Version: v, CorrelationID: 77, ClientID: id}); err != nil || h != want {
				t.Fatalf("%s v%d: %+v, %v", kmsg.NameForKey(key), v, h, err)
			}
			if !bytes.Equal(body, r.AppendTo(nil)) {
				t.Fatalf("%s v%d: body differs", kmsg.NameForKey(key), v)
			}
		}
	}
}

// As KIP-482 and its successors say, so that an error of the generated code would show.
func TestFirstFlexibleVersions(t *testing.T) {
	for key, want := range map[int16]int16{0: 9, 1: 12, 2: 6, 3: 9, 10: 3, 18: 3, 19: 5, 22: 2, 36: 2, 60: 0, 61: 0} {
		if headerVersion(key, want) != 2 || want > 0 && headerVersion(key, want-1) != 1 {
			t.Errorf("%s: version %d should be the first flexible one", kmsg.NameForKey(key), want)
		}
	}
}

func TestHeaders(t *testing.T) {
	const produce9 = "\x00\x00\x00\x09\x00\x00\x00\x05"
	for _, c := range []struct {
		name, in, client, body string
		err                    string // part of it; "" = none
	}{
		{"null client", "\x00\x00\x00\x03\x00\x00\x00\x05\xff\xffrest", "", "rest", ""},
		{"empty client", "\x00\x00\x00\x03\x00\x00\x00\x05\x00\x00rest", "", "rest", ""},
		{"client", "\x00\x00\x00\x03\x00\x00\x00\x05\x00\x02merest", "me", "rest", ""},
		{"flexible", produce9 + "\x00\x02me\x00rest", "me", "rest", ""},
		{"two tags", produce9 + "\x00\x02me\x02\x00\x03abc\x07\x00rest", "me", "rest", ""},
		{"unknown key", "\x7f\x00\x00\x63\x00\x00\x00\x05\x00\x02merest", "me", "rest", ""},
		{"negative key", "\xff\xff\x00\x63\x00\x00\x00\x05\x00\x02merest", "me", "rest", ""},
		{"never flexible", "\x00\x11\x7f\xff\x00\x00\x00\x05\x00\x02merest", "me", "rest", ""},
		{"later than known", "\x00\x12\x7f\xff\x00\x00\x00\x05\x00\x02me\x00rest", "me", "rest", ""},
		{"header 0", "\x00\x07\x00\x00\x00\x00\x00\x05rest", "", "rest", ""},
		{"short", "\x00\x00\x00\x09\x00\x00\x00", "", "", "cut short"},
		{"no client", produce9 + "\x00", "", "", "cut short"},
		{"client too long", produce9 + "\x00\x09abc", "", "", "cut short"},
		{"client of -2", produce9 + "\xff\xfeabc", "", "", "length -2"},
		{"no tags", produce9 + "\x00\x02me", "", "", "cut short"},
		{"more tags than bytes", produce9 + "\xff\xff\xff\xff\xff\x0fabcdefgh", "", "", "33554431 tags in 8 bytes"},
		{"most tags", produce9 + "\xff\xff\xff\xff\xff\xff\x0fabcdef", "", "", "4294967295 tags"},
		{"tag count beyond 32 bits", produce9 + "\xff\xff\xff\xff\xff\xff\x1fabcdef", "", "", "varint"},
		{"tag count without end", produce9 + "\xff\xff\xff\xff", "", "", "cut short"},
		{"tag beyond the end", produce9 + "\xff\xff\x01\x00\x05abc", "", "", "cut short"},
		{"tag varint too long", produce9 + "\xff\xff\x01\xff\xff\xff\xff\xff\xff", "", "", "varint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, body, err := ParseRequestHeader([]byte(c.in))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("%v, want an error with %q", err, c.err)
				}
				return
			}
			if err != nil || h.ClientID != c.client || string(body) != c.body || h.CorrelationID != 5 {
				t.Fatalf("%+v, body %q, %v", h, body, err)
			}
		})
	}
}

func TestShortHeadersCanBeToldApart(t *testing.T) {
	if _, _, err := ParseRequestHeader(nil); !errors.Is(err, ErrShort) {
		t.Fatalf("got %v", err)
	}
}

// allocated returns how many bytes f allocated on the heap, freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
