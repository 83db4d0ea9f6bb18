package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/forward"
	"github.com/streamdown/streamdown/gateway"
	"github.com/streamdown/streamdown/tally"
)

// Status tells how the process stands, from memory: nothing here calls an upstream.
func (n *Node) Status(ctx context.Context) api.Status {
	fw, err := n.forwarder.Status(ctx)
	if err != nil {
		fw.BreakerWhy = "not known: " + err.Error()
	}
	s := api.Status{
		Version: n.opt.Version, Now: time.Now().UTC(), StartedAt: n.started.UTC(), LogID: n.wal.ID().String(),
		Config: n.configStatus(), Listen: api.Listen{Kafka: n.KafkaAddr(), HTTP: n.HTTPAddr(), Classes: n.classStatus()},
		Target: api.Target{
			Name: n.system.Name, Bootstrap: n.system.Kafka.Bootstrap, Breaker: fw.Breaker.String(),
			BreakerSince: api.Known(fw.BreakerSince.UTC()), BreakerWhy: fw.BreakerWhy, LookedAt: api.Known(fw.LookedAt.UTC()),
		},
		Log: n.logStatus(&fw), Gateway: n.gatewayStatus(), HTTP: n.httpStatus(),
		Forward: api.Forward{
			BatchesSent: fw.Sent, Scans: fw.Scans, Answers: map[string]uint64{}, ReadAheadBytes: int64(fw.ReadAhead),
		},
	}
	if fw.BreakerSince.IsZero() {
		s.Target.BreakerSince = nil
	}
	if cl := n.catalog.Cluster(); cl != nil {
		s.Target.ClusterID = api.Known(cl.ID)
	}
	if err != nil {
		s.Target.Breaker = "unknown"
	}
	for class, count := range fw.Answers {
		s.Forward.Answers[class.String()] = count
	}
	for _, h := range n.book.Holds() {
		s.Holds = append(s.Holds, api.Hold{Target: h.Target, Reason: h.Reason, Since: h.Since})
	}
	s.Lanes = n.laneStatus(&fw)
	n.recordStatus(&s, &fw)
	s.Ready, s.NotReady = ready(&s)
	return s
}

// ready means "can ack" (decision 16), never "the target is up".
func ready(s *api.Status) (bool, string) {
	switch {
	case s.Log.Stuck != "":
		return false, "the log cannot be written: " + s.Log.Stuck
	case s.Log.Full != "":
		return false, s.Log.Full
	case s.Log.WaitingSeconds > hung.Seconds():
		return false, fmt.Sprintf("a write to the log has been waiting for its disk for %.0f s", s.Log.WaitingSeconds)
	}
	return true, ""
}

// hung is when a disk that does not answer is one that nobody should wait for.
const hung = 5 * time.Second

func (n *Node) logStatus(fw *forward.Status) api.Log {
	st := n.wal.Stats()
	l := api.Log{
		Dir: n.cfg.Data.Dir, SizeBytes: st.Size, MaxSizeBytes: st.MaxSize, Segments: st.Segments, First: st.First,
		Durable: st.Durable, Watermark: fw.Watermark, Stuck: st.Stuck, Failures: st.Failures, DamagedRanges: st.Damage,
		Groups: st.Groups, Bytes: st.Bytes, Fsync: histogram(st.Fsync),
	}
	l.Full, l.WaitingSeconds, l.OnDiskBytes, l.BytesPerSecond = st.Full, st.Waiting.Seconds(), st.OnDisk, st.Rate
	if st.Room >= 0 {
		l.RoomBytes = &st.Room
		if st.Rate >= 1 {
			room := float64(st.Room) / st.Rate
			l.RoomSeconds = &room
		}
	}
	if !st.Refuge.IsZero() {
		l.Refuge = &api.Refuge{Dir: n.cfg.Data.Refuge, Since: st.Refuge.UTC(), Why: st.RefugeWhy}
	}
	if st.Fsync.Total > 0 {
		l.FsyncP50, l.FsyncP99 = seconds(st.Fsync.Quantile(0.5)), seconds(st.Fsync.Quantile(0.99))
	}
	scrubber, rate, _ := n.scrub.now()
	l.Scrub = scrubStatus(scrubber, rate, fw.Watermark)
	l.Ledger = n.ledgerStatus()
	for _, r := range fw.Damage {
		l.Damage = append(l.Damage, api.Range{From: r.From, To: r.To})
	}
	for _, r := range n.wal.Renewals() {
		l.Renewals = append(l.Renewals, api.Renewal{At: r.At, Was: r.Was.String()})
	}
	return l
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

// histogram keeps every eighth bucket bound: a power of two of microseconds.
func histogram(s *tally.Snapshot) api.Histogram {
	h := api.Histogram{Sum: s.Sum.Seconds()}
	var sum uint64
	for i, c := range s.Counts {
		sum += c
		if up := tally.Upper(i); up >= 64*time.Microsecond && up <= 34*time.Second && up.Microseconds()&(up.Microseconds()-1) == 0 {
			h.Bounds, h.Counts, sum = append(h.Bounds, up.Seconds()), append(h.Counts, sum), 0
		}
	}
	h.Counts = append(h.Counts, sum)
	return h
}

func (n *Node) gatewayStatus() api.Gateway {
	st := n.gateway.Stats()
	in := n.intake.Stats()
	g := api.Gateway{
		Connections: st.Connections, Accepted: uint64(st.Accepted), Malformed: uint64(st.Malformed), BytesIn: uint64(st.BytesIn),
		OpenBytes: st.OpenBytes, HeldReads: uint64(st.HeldReads), HeldReplies: in.Held, Clients: st.Clients,
		Requests: map[string]uint64{}, Refusals: map[string]uint64{}, Users: st.Users, Cut: map[string]uint64{},
		AckLatency: api.Histogram{Sum: st.AckLatency.Sum.Seconds()},
	}
	for key, count := range st.Requests {
		name := kmsg.NameForKey(key)
		if key == gateway.OtherKey {
			name = "other"
		}
		g.Requests[name] += uint64(count)
	}
	for code, count := range st.Refusals {
		name := "UNKNOWN"
		if e := kerr.TypedErrorForCode(code); e != nil {
			name = e.Message
		}
		g.Refusals[name] += uint64(count)
	}
	for l, count := range st.Logins {
		g.Logins = append(g.Logins, api.Login{Mechanism: l.Mechanism, Outcome: l.Outcome, Count: uint64(count)})
	}
	slices.SortFunc(g.Logins, func(a, b api.Login) int {
		return cmp.Or(strings.Compare(a.Mechanism, b.Mechanism), strings.Compare(a.Outcome, b.Outcome))
	})
	for why, count := range st.Cut {
		g.Cut[why] = uint64(count)
	}
	for _, b := range st.AckLatency.Bounds {
		g.AckLatency.Bounds = append(g.AckLatency.Bounds, b.Seconds())
	}
	for _, c := range st.AckLatency.Counts {
		g.AckLatency.Counts = append(g.AckLatency.Counts, uint64(c))
	}
	g.AckP50, g.AckP99 = quantile(&st.AckLatency, 0.5), quantile(&st.AckLatency, 0.99)
	return g
}

// quantile is the upper bound of the bucket that holds the q-quantile, nil without observations or above all bounds.
func quantile(l *gateway.Latency, q float64) *float64 {
	want, seen := q*float64(l.Count()), int64(0)
	for i, b := range l.Bounds {
		if seen += l.Counts[i]; seen > 0 && float64(seen) >= want {
			return seconds(b)
		}
	}
	return nil
}

func (n *Node) laneStatus(fw *forward.Status) []api.Lane {
	at := make(map[streamdown.LaneID]*forward.LaneStatus, len(fw.Lanes))
	for i := range fw.Lanes {
		at[fw.Lanes[i].ID] = &fw.Lanes[i]
	}
	quarantined := n.quarantined()
	known := n.book.Lanes()
	out := make([]api.Lane, 0, len(known)) // there may be very many, and somebody may look every second
	for _, l := range known {
		tp, ok := n.wal.LaneName(l.ID)
		if !ok {
			continue
		}
		a := api.Lane{
			Topic: tp.Topic, Partition: tp.Partition, State: "idle", Live: n.book.Live(l.ID),
			AcceptedEnd: l.End, Confirmed: l.Confirmed, Backlog: l.Backlog(),
		}
		if l.Offset != streamdown.NoOffset {
			a.Offset = &l.Offset
		}
		if s := at[l.ID]; s != nil {
			a.State, a.Doubled = s.State, s.Doubled
			if s.Stop != nil {
				a.Stop = &api.Stop{At: s.Stop.At.UTC(), Code: s.Stop.Code, Reason: s.Stop.Reason, Retry: s.Stop.Retry}
			}
			for _, lost := range s.Lost {
				a.Lost = append(a.Lost, api.Lost{From: lost.From, To: lost.To})
			}
			for _, f := range s.Foreign {
				a.Foreign = append(a.Foreign, api.Foreign(f))
			}
		}
		a.Quarantined = quarantined[l.ID]
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b api.Lane) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition) - int(b.Partition)
	})
	return out
}

func (n *Node) recordStatus(s *api.Status, fw *forward.Status) {
	in := n.intake.Stats()
	accepted, confirmed := n.book.Totals()
	accepted, confirmed = accepted-n.replayed, confirmed-n.replayedConfirmed
	r := &s.Records
	r.Accepted, r.Confirmed = uint64(accepted), uint64(confirmed)
	r.Acked = &in.Acked
	for i := range s.Lanes {
		r.Backlog += s.Lanes[i].Backlog
	}
	s.Quarantine.Batches, s.Quarantine.Records = n.book.Quarantined()
	r.OnlyOnThisDisk = r.Backlog + s.Quarantine.Records
	bytes := int64(s.Log.Durable - s.Log.Watermark)
	if r.Backlog == 0 {
		bytes = 0 // what lies above the watermark is our own bookkeeping
	} else if !fw.Oldest.IsZero() {
		age := max(s.Now.Sub(fw.Oldest).Seconds(), 0)
		r.OldestAge = &age
	}
	r.BacklogBytes = &bytes
	r.AckedLocally, r.ClientRetries = in.LocalOnly, in.Repeated
}

// lanesOf reads "*", a topic, or topic/partition; partition -1 means all.
func lanesOf(target string) streamdown.TopicPartition {
	if topic, p, ok := strings.Cut(target, "/"); ok {
		if n, err := strconv.ParseInt(p, 10, 32); err == nil && n >= 0 {
			return streamdown.TopicPartition{Topic: topic, Partition: int32(n)}
		}
	}
	return streamdown.TopicPartition{Topic: target, Partition: -1}
}
