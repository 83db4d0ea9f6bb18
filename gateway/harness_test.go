package gateway

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// testTime bounds what a test waits for.
const testTime = time.Minute

// running is a server on a port of its own.
type running struct {
	*Server
	addr string
	stop func() error // ends Serve and returns what it returned
}

func serve(t testing.TB, cfg Config, in Intake, d Directory) *running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s := New(cfg, in, d)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	stop := sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(testTime):
			return fmt.Errorf("Serve did not end within %v", testTime)
		}
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return &running{Server: s, addr: l.Addr().String(), stop: stop}
}

// peer is a client that says exactly what a test wants.
type peer struct {
	t  testing.TB
	nc net.Conn
}

func dial(t testing.TB, addr string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(testTime))
	return &peer{t, nc}
}

// frame is a request as it is sent.
func frame(correlation int32, r kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, r, correlation)
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// receive reads one response frame.
func (p *peer) receive() (correlation int32, body []byte, err error) {
	var size [4]byte
	if _, err := io.ReadFull(p.nc, size[:]); err != nil {
		return 0, nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(p.nc, b); err != nil {
		return 0, nil, err
	}
	return int32(binary.BigEndian.Uint32(b)), b[4:], nil
}

// ask sends a request and reads its response into resp, which has the version to read.
func (p *peer) ask(r kmsg.Request, resp kmsg.Response) {
	p.t.Helper()
	p.send(frame(99, r))
	correlation, body, err := p.receive()
	if err != nil {
		p.t.Fatalf("%s v%d: %v", kmsg.NameForKey(r.Key()), r.GetVersion(), err)
	}
	if correlation != 99 {
		p.t.Fatalf("correlation id %d, want 99", correlation)
	}
	decode(p.t, body, resp)
}

func decode(t testing.TB, body []byte, resp kmsg.Response) {
	t.Helper()
	if resp.IsFlexible() && resp.Key() != keyAPIVersions {
		if body[0] != 0 {
			t.Fatalf("response header has tags: %x", body)
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		t.Fatalf("%s v%d: %v", kmsg.NameForKey(resp.Key()), resp.GetVersion(), err)
	}
	// kmsg does not mind bytes left over, clients do.
	if again := resp.AppendTo(nil); len(again) != len(body) {
		t.Fatalf("%s v%d: %d bytes, but it reads as %d", kmsg.NameForKey(resp.Key()), resp.GetVersion(), len(body), len(again))
	}
}

// closed waits for the server to close the connection and fails if it says anything first.
func (p *peer) closed() {
	p.t.Helper()
	if correlation, body, err := p.receive(); err == nil {
		p.t.Fatalf("answer %d with %d bytes where the connection was to be closed", correlation, len(body))
	} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		p.t.Fatal("the connection stays open and silent")
	}
}

// recordBatch is a record batch v2 with n records of the payload's bytes; what is inside does not matter here.
func recordBatch(n int32, payload []byte) []byte {
	b := make([]byte, 61, 61+len(payload))
	b = append(b, payload...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	b[16] = 2
	binary.BigEndian.PutUint32(b[23:], uint32(n-1))
	for i := 43; i < 57; i++ { // no producer id, epoch or sequence
		b[i] = 0xff
	}
	binary.BigEndian.PutUint32(b[57:], uint32(n))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// produceOf is a produce request of one batch for each partition of a topic.
func produceOf(version, acks int16, topic string, partitions ...int32) *kmsg.ProduceRequest {
	r := kmsg.NewPtrProduceRequest()
	r.Version, r.Acks, r.TimeoutMillis = version, acks, 1000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	for _, i := range partitions {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = i, recordBatch(1, []byte("payload"))
		t.Partitions = append(t.Partitions, p)
	}
	r.Topics = append(r.Topics, t)
	return r
}

func produced(version int16) *kmsg.ProduceResponse {
	r := kmsg.NewPtrProduceResponse()
	r.Version = version
	return r
}

// eventually waits until is reports true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.After(testTime)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", testTime, what)
		}
	}
}

// says waits until the log has all these words: some lines are written after the client has its answer.
func (s *text) says(t testing.TB, words ...string) {
	t.Helper()
	deadline := time.After(testTime)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		said := s.String()
		missing := slices.IndexFunc(words, func(w string) bool { return !strings.Contains(said, w) })
		if missing < 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("the log does not say %q:\n%s", words[missing], said)
			return
		}
	}
}

// logTo is a log whose text is w's. It may be read once the server has ended.
func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// debugTo is logTo with everything that is said.
func debugTo(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
