package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
)

func framed(body string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + body
}

func TestFramesComeWholeAndInOrder(t *testing.T) {
	bodies := []string{"12345678", strings.Repeat("a", firstGrowth), strings.Repeat("b", firstGrowth+1), "next", strings.Repeat("c", 300_000)}
	var in strings.Builder
	for _, b := range bodies {
		in.WriteString(framed(b))
	}
	for name, r := range map[string]io.Reader{
		"whole":        strings.NewReader(in.String()),
		"byte by byte": iotest.OneByteReader(strings.NewReader(in.String())),
		"halves":       iotest.HalfReader(strings.NewReader(in.String())),
		"data and EOF": iotest.DataErrReader(strings.NewReader(in.String())),
	} {
		t.Run(name, func(t *testing.T) {
			var buf []byte
			for i, want := range bodies {
				got, err := ReadFrame(r, buf, 1<<20)
				if err != nil || string(got) != want {
					t.Fatalf("frame %d: %d bytes, %v; want %d", i, len(got), err, len(want))
				}
				buf = got
			}
			if _, err := ReadFrame(r, buf, 1<<20); err != io.EOF {
				t.Fatalf("after the last frame: %v, want io.EOF itself", err)
			}
		})
	}
}

func TestEndWithinFrameIsUnexpected(t *testing.T) {
	whole := framed(strings.Repeat("x", 40_000))
	for _, n := range []int{1, 2, 3, 4, 5, firstGrowth + 4, firstGrowth + 5, len(whole) - 1} {
		_, err := ReadFrame(strings.NewReader(whole[:n]), nil, 1<<20)
		if err != io.ErrUnexpectedEOF {
			t.Errorf("cut after %d bytes: %v, want unexpected EOF", n, err)
		}
	}
}

func TestErrorOfTheReaderIsPassedOn(t *testing.T) {
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader("\x00\x00\x00\x08abc"), iotest.ErrReader(broken))
	if _, err := ReadFrame(r, nil, 100); !errors.Is(err, broken) {
		t.Fatalf("got %v, want the reader's error", err)
	}
}

func TestStrangeFramesAreNamed(t *testing.T) {
	const max = 100 << 20
	for _, c := range []struct{ in, looks, says string }{
		{"GET / HTTP/1.1\r\n", httpRequest, "looks like an HTTP request"},
		{"POST /topics", httpRequest, "HTTP has a port of its own"},
		{"OPTIONS *", httpRequest, "HTTP"},
		{"HTTP/1.1 400 Bad Request", httpResponse, "web server"},
		{"PRI * HTTP/2.0", http2, "HTTP/2"},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", tlsHello, "security.protocol"},
		{"\x16\x03\x03\x00\xff", tlsHello, "TLS ClientHello"},
		{"\x15\x03\x03\x00\x02\x02\x28", tlsAlert, "wants TLS"},
		{"PROXY TCP4 1.2.3.4", proxyHeader, "load balancer"},
		{"\r\n\r\n\x00\r\nQUIT\n", proxyHeader, "PROXY"},
		{"SSH-2.0-OpenSSH", ssh, "SSH"},
		{"AMQP\x00\x00\x09\x01", amqp, "AMQP"},
		{"\x16\x05\x00\x00", "", "raise the limit"},
		{"\x7f\xff\xff\xff", "", "2147483647 bytes, more than the limit of 104857600"},
		{"\x06\x40\x00\x01", "", "more than the limit"},
		{"\xff\xff\xff\xff", "", "frame of -1 bytes"},
		{"\x80\x00\x00\x00", "", "no Kafka frame is that short"},
		{"\x00\x00\x00\x00", "", "frame of 0 bytes"},
		{"\x00\x00\x00\x03abc", "", "frame of 3 bytes"},
	} {
		_, err := ReadFrame(strings.NewReader(c.in), nil, max)
		var fe *FrameError
		if !errors.As(err, &fe) {
			t.Errorf("%q: %v, want a FrameError", c.in, err)
			continue
		}
		if fe.Looks != c.looks || !strings.Contains(fe.Error(), c.says) {
			t.Errorf("%q: looks like %q, says %q; want %q, %q", c.in, fe.Looks, fe, c.looks, c.says)
		}
	}
}

func TestLimitItselfIsAccepted(t *testing.T) {
	for _, n := range []int{MinFrame, 8, 1000} {
		if got, err := ReadFrame(strings.NewReader(framed(strings.Repeat("x", n))), nil, int32(n)); err != nil || len(got) != n {
			t.Errorf("%d bytes at a limit of %d: %d, %v", n, n, len(got), err)
		}
	}
}

// A peer that announces much and sends little must not make us allocate much.
func TestMemoryFollowsWhatCameNotWhatWasAnnounced(t *testing.T) {
	for _, sent := range []int{0, 100, 20_000, 200_000} {
		in := append([]byte{0x7f, 0xff, 0xff, 0xff}, make([]byte, sent)...)
		grew := allocated(func() {
			if _, err := ReadFrame(bytes.NewReader(in), nil, math.MaxInt32); err != io.ErrUnexpectedEOF {
				t.Fatalf("got %v", err)
			}
		})
		if limit := uint64(5*sent + 3*firstGrowth); grew > limit {
			t.Errorf("%d bytes sent: %d allocated, more than %d", sent, grew, limit)
		}
	}
}

func TestFrameIntoLargeEnoughBufferAllocatesNothing(t *testing.T) {
	in := framed(strings.Repeat("x", 1000))
	r := strings.NewReader(in)
	buf := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() {
		r.Reset(in)
		got, err := ReadFrame(r, buf, 1000)
		if err != nil || &got[0] != &buf[0] {
			t.Fatal("buffer not reused", err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations for a frame", n)
	}
}

func BenchmarkReadFrame64KiB(b *testing.B) {
	in := []byte(framed(strings.Repeat("x", 64<<10)))
	r := bytes.NewReader(in)
	var buf []byte
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(in)
		var err error
		if buf, err = ReadFrame(r, buf, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
