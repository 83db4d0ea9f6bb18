package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxTopics bounds the series by topic. Partitions and clients have none: their numbers are not ours to bound.
const maxTopics = 100

// otherTopics is the label of the topics beyond maxTopics together, and of users beyond theirs. No topic can have this
// name.
const otherTopics = "(other)"

// metrics serves one status per scrape, so that all its samples are of one moment, with Go's own and the process's.
func metrics(status func(ctx context.Context) Status, log *slog.Logger) http.Handler {
	process := prometheus.NewRegistry()
	process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	opts := promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ours := prometheus.NewRegistry()
		s := status(r.Context())
		ours.MustRegister(collector{&s})
		promhttp.HandlerFor(prometheus.Gatherers{process, ours}, opts).ServeHTTP(w, r)
	})
}

// collector turns one status into samples. What the status does not know has no sample.
type collector struct{ s *Status }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("streamdown_"+name, help, labels, nil)
}

var (
	buildInfo = desc("build_info", "The version that runs; always 1.", "version", "goversion")
	isReady   = desc("ready", "1 if producers are acked, otherwise 0.")

	accepted     = desc("accepted_records_total", "Records made durable in the log.")
	acked        = desc("acked_records_total", "Records that producers were told are safe.")
	confirmed    = desc("confirmed_records_total", "Records proved to be at the target.", "target")
	ackedLocally = desc("locally_acked_batches_total", "Batches acked from this disk although the target was asked for.")
	repeated     = desc("repeated_batches_total", "Batches recognized as a client's repeat of one that is held.")

	backlogRecords = desc("backlog_records", "Records that are durable here and not confirmed at the target.", "target")
	backlogBytes   = desc("backlog_bytes", "Bytes of the log from the first unconfirmed entry on.", "target")
	backlogAge     = desc("backlog_age_seconds", "Age of the oldest unconfirmed record; no sample if there is none.", "target")
	topicBacklog   = desc("topic_backlog_records", "Unconfirmed records by topic; topics beyond the first 100 together are (other).", "topic")
	onlyHere       = desc("only_on_this_disk_records", "Acked records that are not confirmed: lost if this disk is.")

	breakerState = desc("breaker_state", "1 for the state that the target's breaker is in, otherwise 0; all 0 if not known.", "target", "state")
	lookedAt     = desc("target_looked_timestamp_seconds", "When the target's metadata was last asked for.", "target")
	sent         = desc("sent_batches_total", "Batches sent to the target, retries included.", "target")
	answers      = desc("answers_total", "The target's answers to batches by class.", "target", "class")
	scans        = desc("scans_total", "Reads of the target to find out what it holds.", "target")
	doubled      = desc("doubled_batches_total", "Batches of ours seen twice at the target.", "target")
	damagedAway  = desc("damaged_records", "Records that damage to the log took before they were sent.")
	foreign      = desc("foreign_records", "Records found at the target in this log's name that are not in this log, since the start.", "target")
	readAhead    = desc("read_ahead_bytes", "Bytes of the log that are read and not confirmed.", "target")
	lanes        = desc("lanes", "Lanes by state.", "state")
	holds        = desc("holds", "Holds in force.")

	connections = desc("connections", "Connections of producers open now.")
	taken       = desc("accepted_connections_total", "Connections of producers taken.")
	byUser      = desc("user_connections", "Connections open now by whom they belong to; \"(other)\" is everybody beyond the first 100.", "user")
	logins      = desc("logins_total", "Logins by mechanism and outcome.", "mechanism", "outcome")
	cut         = desc("cut_connections_total", "Connections closed, or not taken, for what they did or did not do.", "why")
	requests    = desc("requests_total", "Requests by Kafka API.", "api")
	refusals    = desc("refusals_total", "Refusals by Kafka error; Produce counts partitions.", "error")
	malformed   = desc("malformed_requests_total", "Connections closed for frames that were not understood.")
	received    = desc("received_bytes_total", "Bytes of whole requests.")
	openBytes   = desc("open_request_bytes", "Bytes of Produce requests that are read and undecided.")
	heldReads   = desc("held_reads_total", "Times that reading from a producer waited for room in memory.")
	heldReplies = desc("held_replies_total", "Times that a reply waited for room in the log.")
	ackSeconds  = desc("ack_duration_seconds", "From a whole Produce request being read until its turn to be answered.")

	logSize       = desc("log_size_bytes", "Size of the log on disk.")
	logMaxSize    = desc("log_max_size_bytes", "Size that the log may have; no sample without a limit.")
	logOnDisk     = desc("log_on_disk_bytes", "Size of the log's files, with those that are kept to be written over.")
	logRoom       = desc("log_room_bytes", "Bytes that the log may still grow by; no sample if that is not known.")
	logFull       = desc("log_full", "1 while there is no room for batches, otherwise 0.")
	logInRefuge   = desc("log_in_refuge", "1 while the log is written to its second directory, otherwise 0.")
	logWaiting    = desc("log_waiting_seconds", "Time that the write or sync under way has taken so far.")
	logSegments   = desc("log_segments", "Files of the log.")
	logWritten    = desc("log_written_bytes_total", "Bytes made durable.")
	logFailures   = desc("log_failures_total", "Failed writes and syncs.")
	logStuck      = desc("log_stuck", "1 while nothing can be written to the log, otherwise 0.")
	damagedRanges = desc("log_damaged_ranges_total", "Damaged ranges of the log that were met.")
	scrubbed      = desc("log_scrubbed_bytes_total", "Bytes of sealed segments read again to find rot.")
	scrubDamage   = desc("log_scrub_damage_ranges", "Damaged ranges in what the log keeps; no sample until all was checked once or damage was found.")
	scrubWhole    = desc("log_scrub_whole_pass_timestamp_seconds", "When all sealed segments were last checked; no sample before the first time.")
	renewed       = desc("log_renewed_timestamp_seconds", "When the log last took a new id, for its directory was rolled back or copied; no sample if it never did.")
	fsyncSeconds  = desc("log_fsync_duration_seconds", "Time that one fsync of the log took.")
)

// Describe implements prometheus.Collector. It names nothing, which makes the registry check samples when it gathers
// them instead of at registration.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.s
	e := emitter{ch}
	target := s.Target.Name
	e.gauge(buildInfo, 1, s.Version, runtime.Version())
	e.gauge(isReady, bit(s.Ready))

	r := &s.Records
	e.counter(accepted, r.Accepted)
	if r.Acked != nil {
		e.counter(acked, *r.Acked)
	}
	e.counter(confirmed, r.Confirmed, target)
	e.counter(ackedLocally, r.AckedLocally)
	e.counter(repeated, r.ClientRetries)
	e.gauge(backlogRecords, float64(r.Backlog), target)
	if r.BacklogBytes != nil {
		e.gauge(backlogBytes, float64(*r.BacklogBytes), target)
	}
	if r.OldestAge != nil {
		e.gauge(backlogAge, *r.OldestAge, target)
	}
	e.gauge(onlyHere, float64(r.OnlyOnThisDisk))

	for _, state := range []string{"closed", "half_open", "open"} {
		e.gauge(breakerState, bit(s.Target.Breaker == state), target, state)
	}
	if at := s.Target.LookedAt; at != nil {
		e.gauge(lookedAt, float64(at.UnixNano())/float64(time.Second), target)
	}
	f := &s.Forward
	e.counter(sent, f.BatchesSent, target)
	for class, n := range f.Answers {
		e.counter(answers, n, target, class)
	}
	e.counter(scans, f.Scans, target)
	e.gauge(readAhead, float64(f.ReadAheadBytes), target)
	e.gauge(holds, float64(len(s.Holds)))
	c.collectLanes(e, target)
	c.collectQuarantine(e)
	c.collectGateway(e)
	c.collectHTTP(e)
	c.collectConfig(e)
	c.collectLog(e)
}

func (c collector) collectLanes(e emitter, target string) {
	states := map[string]int{}
	for _, state := range []string{"idle", "unbound", "warm", "cold", "doubt", "waiting", "held", "stopped"} {
		states[state] = 0
	}
	topics := map[string]int64{}
	var twice uint64
	var lost, strange int64
	for i := range c.s.Lanes {
		l := &c.s.Lanes[i]
		states[l.State]++
		name := l.Topic
		if _, known := topics[name]; !known && len(topics) >= maxTopics {
			name = otherTopics
		}
		topics[name] += l.Backlog
		twice += l.Doubled
		for _, r := range l.Lost {
			lost += int64(r.To - r.From)
		}
		for _, f := range l.Foreign {
			strange += f.Records
		}
	}
	for state, n := range states {
		e.gauge(lanes, float64(n), state)
	}
	for topic, n := range topics {
		e.gauge(topicBacklog, float64(n), topic)
	}
	e.counter(doubled, twice, target)
	e.gauge(damagedAway, float64(lost))
	e.gauge(foreign, float64(strange), target)
}

func (c collector) collectGateway(e emitter) {
	g := &c.s.Gateway
	e.gauge(connections, float64(g.Connections))
	e.counter(taken, g.Accepted)
	for user, n := range boundedUsers(g.Users) {
		e.gauge(byUser, float64(n), user)
	}
	for _, l := range g.Logins {
		e.counter(logins, l.Count, l.Mechanism, l.Outcome)
	}
	for why, n := range g.Cut {
		e.counter(cut, n, why)
	}
	for name, n := range g.Requests {
		e.counter(requests, n, name)
	}
	for name, n := range g.Refusals {
		e.counter(refusals, n, name)
	}
	e.counter(malformed, g.Malformed)
	e.counter(received, g.BytesIn)
	e.gauge(openBytes, float64(g.OpenBytes))
	e.counter(heldReads, g.HeldReads)
	e.counter(heldReplies, g.HeldReplies)
	e.histogram(ackSeconds, &g.AckLatency)
}

// maxUsers bounds the series by user: certificates may name any number of them.
const maxUsers = 100

// boundedUsers keeps the users with the most connections and sums the others up.
func boundedUsers(users map[string]int64) map[string]int64 {
	names := make([]string, 0, len(users))
	for name := range users {
		if name != "" {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(users[b], users[a]), strings.Compare(a, b)) })
	out := map[string]int64{}
	for i, name := range names {
		if i >= maxUsers || !utf8.ValidString(name) {
			out[otherTopics] += users[name]
			continue
		}
		out[name] += users[name]
	}
	return out
}

func (c collector) collectLog(e emitter) {
	l := &c.s.Log
	e.gauge(logSize, float64(l.SizeBytes))
	if l.MaxSizeBytes > 0 {
		e.gauge(logMaxSize, float64(l.MaxSizeBytes))
	}
	e.gauge(logOnDisk, float64(l.OnDiskBytes))
	if l.RoomBytes != nil {
		e.gauge(logRoom, float64(*l.RoomBytes))
	}
	e.gauge(logFull, bit(l.Full != ""))
	e.gauge(logInRefuge, bit(l.Refuge != nil))
	e.gauge(logWaiting, l.WaitingSeconds)
	e.gauge(logSegments, float64(l.Segments))
	e.counter(logWritten, l.Bytes)
	e.counter(logFailures, l.Failures)
	e.gauge(logStuck, bit(l.Stuck != ""))
	e.counter(damagedRanges, l.DamagedRanges)
	if n := len(l.Renewals); n > 0 {
		e.gauge(renewed, float64(l.Renewals[n-1].At.UnixNano())/float64(time.Second))
	}
	e.histogram(fsyncSeconds, &l.Fsync)
	if sc := l.Scrub; sc != nil && sc.BytesPerSecond != 0 {
		e.counter(scrubbed, uint64(sc.CheckedBytes)) //nolint:gosec // not negative
		if sc.WholeAt != nil || sc.Ranges > 0 {
			e.gauge(scrubDamage, float64(sc.Ranges))
		}
		if sc.WholeAt != nil {
			e.gauge(scrubWhole, float64(sc.WholeAt.UnixNano())/float64(time.Second))
		}
	}
}

type emitter struct{ ch chan<- prometheus.Metric }

func (e emitter) counter(d *prometheus.Desc, v uint64, labels ...string) {
	e.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), valid(labels)...)
}

func (e emitter) gauge(d *prometheus.Desc, v float64, labels ...string) {
	e.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, valid(labels)...)
}

func (e emitter) histogram(d *prometheus.Desc, h *Histogram) {
	if len(h.Counts) != len(h.Bounds)+1 {
		return // not filled in
	}
	upTo := make(map[float64]uint64, len(h.Bounds))
	var n uint64
	for i, bound := range h.Bounds {
		n += h.Counts[i]
		upTo[bound] = n
	}
	e.ch <- prometheus.MustNewConstHistogram(d, n+h.Counts[len(h.Bounds)], h.Sum, upTo)
}

// valid makes label values UTF-8: Prometheus refuses the whole scrape for one that is not.
func valid(labels []string) []string {
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
	}
	return labels
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
