package forward

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/wal"
)

// scene is a Core with one lane, bound and warm, two brokers, and an actor that writes down what it is told. Each of
// the tests below plays a bug that the simulation found, as short as it can be.
type scene struct {
	t     *testing.T
	core  *Core
	book  *delivery.Book
	now   time.Time
	told  []string
	tags  []uint64
	lsn   streamdown.LSN
	next  streamdown.Ordinal
	epoch int32
}

var sceneLane = streamdown.TopicPartition{Topic: "orders", Partition: 0}

func newScene(t *testing.T) *scene {
	s := &scene{t: t, book: delivery.New(), now: simStart}
	s.start()
	s.batches(s.now)
	s.core.Bound(s.now, 0, delivery.Binding{Cluster: "c", PID: 7}, sink.OK, nil)
	s.answer(0, sink.OK)
	return s
}

// start begins with what the book knows, and both nodes up.
func (s *scene) start() {
	s.core = New(Config{Book: s.book, Name: func(streamdown.LaneID) (streamdown.TopicPartition, bool) { return sceneLane, true }}, s)
	s.core.Start(s.now)
	s.led(0)
	s.core.Connected(s.now, 0, false, nil)
	s.core.Connected(s.now, 1, false, nil)
}

// led shows metadata in which a node leads in a new epoch.
func (s *scene) led(node int32) {
	s.epoch++
	s.look(node, s.epoch)
}

func (s *scene) look(node, epoch int32) {
	s.core.Looked(s.now, &catalog.Cluster{ID: "c", Topics: map[string]*catalog.Topic{
		"orders": {Name: "orders", Partitions: []catalog.Partition{{Leader: node, LeaderEpoch: epoch}}},
	}}, false, nil)
}

// batches brings one batch of one record per timestamp.
func (s *scene) batches(at ...time.Time) {
	s.t.Helper()
	var entries []wal.Entry
	var b batch.Builder
	for _, at := range at {
		b.Append(at.UnixMilli(), nil, fmt.Append(nil, s.next))
		body, err := b.Build(batch.None, batch.NoStamp)
		if err != nil {
			s.t.Fatal(err)
		}
		e := wal.Entry{LSN: s.lsn, Kind: wal.KindBatch, Ordinal: s.next, Count: 1, Arrival: s.now.UnixMilli(), Body: slices.Clone(body)}
		s.lsn, s.next = e.End(), s.next+1
		s.book.Apply(&e)
		entries = append(entries, e)
	}
	s.core.Appended(s.now, s.lsn)
	s.core.Chunk(s.now, mainReader, entries, s.lsn, nil)
}

// answer answers the oldest request.
func (s *scene) answer(node int32, class sink.Class) {
	tag := s.tags[0]
	s.tags = s.tags[1:]
	s.core.Answered(s.now, node, tag, []sink.Answer{{Class: class, Base: streamdown.NoOffset}})
}

func (s *scene) pass(d time.Duration) {
	s.now = s.now.Add(d)
	s.core.Tick(s.now)
}

// heard returns what the actor was told since the last call.
func (s *scene) heard() string {
	told := strings.Join(s.told, ", ")
	s.told = nil
	return told
}

func (s *scene) want(when, what string) {
	s.t.Helper()
	if got := s.heard(); got != what {
		s.t.Errorf("%s: %q, want %q", when, got, what)
	}
}

func (s *scene) say(format string, args ...any) {
	s.told = append(s.told, fmt.Sprintf(format, args...))
}

func (s *scene) Send(node int32, tag uint64, parcels []sink.Parcel) {
	s.tags = append(s.tags, tag)
	for i := range parcels {
		h, err := batch.ParseHeader(parcels[i].Header[:])
		if err != nil {
			s.t.Fatal(err)
		}
		s.say("send %d to %d", h.BaseSequence, node)
	}
}

func (s *scene) Ask(_ streamdown.LaneID, r AskRequest) { s.say("ask %d", r.Node) }
func (s *scene) Scan(_ streamdown.LaneID, r ScanRequest) {
	s.say("scan %d in epoch %d", r.Node, r.LeaderEpoch)
}
func (s *scene) Bind(_ streamdown.LaneID, r BindRequest) {
	if r.Not >= 0 {
		s.say("bind another id than %d, base %d", r.Not, r.Base)
		return
	}
	s.say("bind epoch %d base %d", r.Epoch, r.Base)
}
func (s *scene) Confirm(lane streamdown.LaneID, to streamdown.Ordinal, end streamdown.Offset) {
	s.book.Confirm(lane, to, end)
}
func (s *scene) Note(n Note) {
	if n.Bad {
		s.say("%s", n.What)
	}
}
func (s *scene) Inspect(_ streamdown.LaneID, r InspectRequest) { s.say("inspect %s", r.Topic) }
func (s *scene) Quarantine(_ streamdown.LaneID, r QuarantineRequest) {
	if r.Bind.Not >= 0 {
		s.say("quarantine %d, then another id than %d, base %d", r.Batch.From, r.Bind.Not, r.Bind.Base)
		return
	}
	s.say("quarantine %d, then epoch %d base %d", r.Batch.From, r.Bind.Epoch, r.Bind.Base)
}
func (s *scene) Renew()                                    { s.say("renew") }
func (s *scene) Read(Reader, streamdown.LSN)               {}
func (s *scene) Connect(int32)                             {}
func (s *scene) Disconnect(int32)                          {}
func (s *scene) Look()                                     {}
func (s *scene) Probe()                                    {}
func (s *scene) SetLive(lane streamdown.LaneID, live bool) { s.book.SetLive(lane, live) }
func (s *scene) SetUp(up bool)                             { s.book.SetUp(up) }

// A lane that stops with something in flight begins again at the first batch that is not confirmed, not at the newest.
func TestLaneStoppedInFlightBeginsAgainAtItsHead(t *testing.T) {
	s := newScene(t)
	first := s.lsn
	s.batches(s.now, s.now)
	s.core.Looked(s.now, &catalog.Cluster{ID: "another"}, false, nil)
	s.batches(s.now)
	s.heard()
	s.answer(0, sink.Doubt)
	s.answer(0, sink.Doubt)
	if l := s.core.lanes[0]; !l.parked || l.from != first {
		t.Errorf("parked %v at %d, want at %d", l.parked, l.from, first)
	}
	if mark := s.core.Watermark(); mark != first {
		t.Errorf("watermark %d, want %d", mark, first)
	}
}

// A second batch may follow only where the broker can not have forgotten us: its state expires by the timestamp of the
// last batch that it took (rule C3). Without state it takes any sequence, so after a refused first the second would pass.
func TestNothingIsPipelinedBehindOldTimestamps(t *testing.T) {
	old := simStart.Add(-20 * time.Hour)
	for _, c := range []struct {
		name  string
		given []time.Time
		want  string
	}{
		{"all fresh", []time.Time{simStart, simStart, simStart}, "send 1 to 0, send 2 to 0, send 3 to 0"},
		{"an old one in flight", []time.Time{old, simStart, simStart}, "send 1 to 0"},
		{"an old one comes next", []time.Time{simStart, old, simStart}, "send 1 to 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t)
			s.heard()
			s.batches(c.given...)
			s.want("at first", c.want)
		})
	}
	t.Run("an old one confirmed last", func(t *testing.T) {
		s := newScene(t)
		s.batches(old)
		s.answer(0, sink.OK)
		s.heard()
		s.batches(simStart, simStart)
		s.want("at first", "send 2 to 0")
		s.answer(0, sink.OK)
		s.want("after the OK", "send 3 to 0")
	})
	t.Run("after idling", func(t *testing.T) {
		s := newScene(t)
		s.now = s.now.Add(idleCold)
		s.heard()
		s.batches(s.now, s.now)
		s.want("at first", "send 1 to 0")
	})
}

// Any replica answers Ask (rule D1). One that lags says less than is confirmed: that is no loss until the leader itself,
// proved by a scan in its epoch, says so too.
func TestLaggingReplicaIsNoLoss(t *testing.T) {
	s := newScene(t)
	s.batches(s.now)
	s.answer(0, sink.OK)
	s.batches(s.now)
	s.answer(0, sink.Doubt)
	s.heard()
	s.pass(time.Second)
	s.want("in doubt", "ask 0")
	s.core.Asked(s.now, 0, sink.Held{Known: true, LastSequence: 0}, sink.OK, nil)
	s.want("less than is confirmed", "scan 0 in epoch 1")
	s.core.Scanned(s.now, 0, sink.Found{}, sink.Moved, errNotLeader)
	s.pass(time.Second)
	s.want("that was not the leader", "ask 0")
	s.core.Asked(s.now, 0, sink.Held{Known: true, LastSequence: 0}, sink.OK, nil)
	s.want("less again, and nothing proved", "scan 0 in epoch 1")
	s.core.Scanned(s.now, 0, sink.Found{End: 2}, sink.OK, nil)
	s.pass(time.Second)
	s.want("that was the leader", "ask 0")
	s.core.Asked(s.now, 0, sink.Held{Known: true, LastSequence: 0}, sink.OK, nil)
	s.want("the leader itself has less", "lane stopped")
}

// What one node said tells nothing of the next one: where the leader changed meanwhile, it is asked again.
func TestAnswerOfAnotherLeaderIsNotBelieved(t *testing.T) {
	s := newScene(t)
	s.batches(s.now)
	s.answer(0, sink.Doubt)
	s.heard()
	s.pass(time.Second)
	s.want("in doubt", "ask 0")
	s.led(1)
	s.core.Asked(s.now, 0, sink.Held{Known: true, LastSequence: 0}, sink.OK, nil)
	s.want("the answer of the old leader", "")
	s.pass(time.Second)
	s.want("the new leader", "ask 1")
}

// Between the answer and the first OK the leader may change too.
func TestAnswerHoldsOnlyForWhoGaveIt(t *testing.T) {
	s := newScene(t)
	s.batches(s.now)
	s.answer(0, sink.Doubt)
	s.heard()
	s.pass(time.Second)
	s.want("in doubt", "ask 0")
	s.core.nodes[0].closing = true // nothing can be sent just now
	s.core.Asked(s.now, 0, sink.Held{Known: true, LastSequence: 0}, sink.OK, nil)
	s.core.Lost(s.now, 0, false, nil)
	s.led(1)
	s.want("the new leader", "ask 1")
}

// A lane leaves the list of the node where it stands ready, whoever leads now: or it would stand in it twice one day.
func TestLaneLeavesTheListItStandsIn(t *testing.T) {
	s := newScene(t)
	s.led(1)
	l, n := s.core.lanes[0], s.core.nodes[0]
	l.ready, n.ready = true, append(n.ready, l)
	s.core.park(l)
	if len(n.ready) != 0 || l.ready {
		t.Errorf("%d lanes ready at the old leader", len(n.ready))
	}
}

// A list of entries that was used again too early once lost a batch on its way to the lane, which took that for damage,
// began a new epoch behind it and went on: an acked batch was dropped. Only damage that was met is damage.
func TestABatchPassedOverIsReadAgainAndNeverSkipped(t *testing.T) {
	s := newScene(t)
	behind := s.lsn
	s.heard()
	skipped := s.next
	s.next++ // its entry is in the log, and does not reach the lane
	s.lsn += 200
	s.batches(s.now, s.now)
	s.want("a batch is missing in what was read", "batch passed over while reading the log; it is read again")
	if l := s.core.lanes[0]; !l.parked || l.from != behind || l.confirmed != skipped {
		t.Fatalf("parked %v at %d, confirmed %d; want at %d and %d", l.parked, l.from, l.confirmed, behind, skipped)
	}
	if mark := s.core.Watermark(); mark > behind {
		t.Fatalf("watermark %d: the log may go before it was read", mark)
	}
	s.pass(unparkWait)
	if pos := s.core.readers[mainReader].pos; pos != behind {
		t.Fatalf("the reader is at %d, want %d", pos, behind)
	}
	// The same gap behind damage that was met is what it says: the rest goes on under a new epoch.
	s.core.damage = append(s.core.damage, Range{From: behind, To: behind + 100})
	end := s.lsn
	s.lsn, s.next = behind+200, skipped+1
	s.batches(s.now, s.now)
	s.lsn = end
	s.want("with damage before them", fmt.Sprintf("bind epoch 1 base %d", skipped+1))
}
