package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/test/budget"
	"github.com/streamdown/streamdown/test/hostile"
)

// FuzzBeforeALogin reads a connection of somebody who has not logged in: whatever comes, it does not get in without a
// password, nothing reaches the intake, and no input costs more than it is worth.
func FuzzBeforeALogin(f *testing.F) {
	begin := func(version int16, m auth.Mechanism) []byte {
		return frame(1, &kmsg.SASLHandshakeRequest{Version: version, Mechanism: string(m)})
	}
	token := func(version int16, b string) []byte {
		return frame(2, &kmsg.SASLAuthenticateRequest{Version: version, SASLAuthBytes: []byte(b)})
	}
	for version := range int16(apiVersionsMax + 1) {
		f.Add(frame(1, &kmsg.ApiVersionsRequest{Version: version}))
	}
	for _, m := range auth.SASL {
		for version := range int16(3) {
			f.Add(append(begin(1, m), token(version, "n,,n=alice,r=x")...))
			f.Add(append(begin(1, m), token(version, "\x00alice\x00x")...))
		}
		f.Add(append(begin(0, m), "\x00\x00\x00\x08\x00alice\x00x"...))
	}
	f.Add(frame(1, produceOf(9, -1, "t", 0)))
	f.Add(append(binary.BigEndian.AppendUint32(nil, maxEarlyFrame), make([]byte, maxEarlyFrame)...))
	for _, i := range hostile.Seeds(hostile.Stranger) {
		f.Add(i.Data)
	}
	// Without verifiers for PLAIN: what they cost is theirs, and bounded by auth.
	users := people(f)
	users.Users, users.Mechanisms = users.Users[:1], passwords()
	cfg := Config{SASL: passwords(), Auth: authorityOf(f, users)}
	m := newMemory("t")
	f.Fuzz(func(t *testing.T, stream []byte) {
		budget.Check(t, len(stream), func() {
			s := New(cfg, m, m)
			c := &conn{server: s, broker: s.brokers[0], queue: newQueue(4), log: s.cfg.Logger}
			over, cancel := context.WithCancel(t.Context())
			cancel() // the pause after a failure is not waited for
			r := bytes.NewReader(stream)
			for {
				size := 0
				if left := stream[len(stream)-r.Len():]; len(left) >= 4 {
					size = int(int32(binary.BigEndian.Uint32(left)))
				}
				err := c.readFrame(t.Context(), r, size)
				for o, state := c.queue.take(false); state == took; o, state = c.queue.take(false) {
					_, _ = c.answer(over, o, nil)
				}
				if err != nil {
					break
				}
			}
			if c.login.who.Load() != nil || m.records("t") != 0 {
				t.Fatalf("%q came in", stream)
			}
		})
	})
}
