package wire

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/streamdown/streamdown/test/budget"
	"github.com/streamdown/streamdown/test/hostile"
)

// FuzzStream reads frames and their headers from whatever a peer may send, within a budget of memory and time.
func FuzzStream(f *testing.F) {
	for _, seed := range []string{
		"", "\x00\x00\x00\x08\x00\x00\x00\x09\x00\x00\x00\x05", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01",
		"\x00\x00\x00\x12\x00\x12\x00\x04\x00\x00\x00\x05\x00\x02me\x02\x00\x03abc\x07\x00",
		"\x00\x00\x00\x10\x00\x00\x00\x09\x00\x00\x00\x05\xff\xff\xff\xff\xff\xff\x0f\x00",
		"\x00\x0f\xff\xff", "\xff\xff\xff\xff",
	} {
		f.Add([]byte(seed))
	}
	for _, i := range hostile.Frames() {
		f.Add(i.Data)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		// A reader that grows with what comes has at most this much behind it.
		budget.Allow(t, uint64(8*len(in)+4*firstGrowth), func() { readAll(t, in) })
	})
}

// readAll reads frames until the first that is none.
func readAll(t *testing.T, in []byte) {
	const max = 1 << 20
	r := bytes.NewReader(in)
	var buf []byte
	for {
		before := r.Len()
		frame, err := ReadFrame(r, buf, max)
		if err == io.EOF && before != 0 {
			t.Fatal("clean end in the middle of a frame")
		}
		if err != nil {
			return
		}
		at := len(in) - before
		if n := int(binary.BigEndian.Uint32(in[at:])); n != len(frame) || !bytes.Equal(frame, in[at+4:at+4+n]) {
			t.Fatalf("frame at %d differs", at)
		}
		if h, body, err := ParseRequestHeader(frame); err == nil && len(body)+8+len(h.ClientID) > len(frame) {
			t.Fatalf("%d bytes of body in a frame of %d", len(body), len(frame))
		}
		buf = frame
	}
}
