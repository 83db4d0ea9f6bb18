package api

import (
	"time"

	"github.com/streamdown/streamdown"
)

// SchemaVersion is the version of the JSON form of Status. Fields are only added to it.
const SchemaVersion = 1

// Status is how a process stands at one moment, filled in from memory. Counters count since the start of the process.
// A nil pointer is what is not known; see [Known]. Times are UTC.
type Status struct {
	SchemaVersion int       `json:"schema_version"` // filled in by the handler
	Version       string    `json:"version"`
	Now           time.Time `json:"now"`
	StartedAt     time.Time `json:"started_at"`
	LogID         string    `json:"log_id"`
	Ready         bool      `json:"ready"`     // producers are acked
	NotReady      string    `json:"not_ready"` // why they are not; empty if they are
	Config        Config    `json:"config"`
	Listen        Listen    `json:"listen"`
	Target        Target    `json:"target"`
	Log           Log       `json:"log"`
	Records       Records   `json:"records"`
	Gateway       Gateway   `json:"gateway"`
	HTTP          HTTP      `json:"http"`
	Forward       Forward   `json:"forward"`
	Lanes         []Lane    `json:"lanes"`
	Holds         []Hold    `json:"holds"`

	Quarantine QuarantineStatus `json:"quarantine"`
}

// Listen is where the process is reached, as host:port.
type Listen struct {
	Kafka string `json:"kafka"`
	HTTP  string `json:"http"`
	// Classes are the ports for producers, the class of the highest priority first, which is at Kafka.
	Classes []Class `json:"classes"`
}

// Class is a port for the producers of the streams of one priority, and the broker that they take it for.
type Class struct {
	Priority   string  `json:"priority"`
	NodeID     int32   `json:"node_id"`
	Address    string  `json:"address"`    // that is bound
	Advertised *string `json:"advertised"` // that clients are told; nil = the one that each came in by
}

// Target is the system that batches are forwarded to.
type Target struct {
	Name         string     `json:"name"`
	ClusterID    *string    `json:"cluster_id"` // nil until it was seen once
	Bootstrap    []string   `json:"bootstrap"`
	Breaker      string     `json:"breaker"` // closed, open, half_open, or unknown
	BreakerSince *time.Time `json:"breaker_since"`
	BreakerWhy   string     `json:"breaker_why"`
	LookedAt     *time.Time `json:"looked_at"` // last time its metadata was asked for
}

// Log is the write-ahead log.
type Log struct {
	Dir          string         `json:"dir"`
	SizeBytes    int64          `json:"size_bytes"`
	MaxSizeBytes int64          `json:"max_size_bytes"` // 0 = no limit
	OnDiskBytes  int64          `json:"on_disk_bytes"`  // with the files that are kept to be written over
	Segments     int            `json:"segments"`
	First        streamdown.LSN `json:"first_lsn"`     // oldest entry kept
	Durable      streamdown.LSN `json:"durable_lsn"`   // all below is on stable storage
	Watermark    streamdown.LSN `json:"watermark_lsn"` // all below is confirmed at the target
	Stuck        string         `json:"stuck"`         // why nothing can be written just now; empty if all is well
	Full         string         `json:"full"`          // why there is no room for batches; empty if there is
	// WaitingSeconds is how long the write or sync under way has taken so far.
	WaitingSeconds float64 `json:"waiting_seconds"`
	// RoomBytes is what the log may still grow by, on its disk and below its maximal size; null if that is not known.
	RoomBytes      *int64    `json:"room_bytes"`
	BytesPerSecond float64   `json:"bytes_per_second"` // written, over the last minute or so
	RoomSeconds    *float64  `json:"room_seconds"`     // at this rate, if nothing is released; null without a rate
	Refuge         *Refuge   `json:"refuge"`           // null unless the log is written there just now
	Failures       uint64    `json:"failures"`         // failed writes and syncs
	DamagedRanges  uint64    `json:"damaged_ranges"`
	Damage         []Range   `json:"damage"` // ranges that could not be read and were not forwarded
	Groups         uint64    `json:"groups"` // commits, each with one fsync
	Bytes          uint64    `json:"bytes"`  // made durable
	FsyncP50       *float64  `json:"fsync_p50_seconds"`
	FsyncP99       *float64  `json:"fsync_p99_seconds"`
	Fsync          Histogram `json:"-"`
	Scrub          *Scrub    `json:"scrub"`  // null if that is not known
	Ledger         *Ledger   `json:"ledger"` // null if that is not known
	// Renewals are the times that the log took a new id (LogID), because somebody else had written in its name: its
	// directory was rolled back or copied. The last 16, oldest first; they outlive restarts.
	Renewals []Renewal `json:"renewals"`
}

// Refuge says that the log goes on in its second directory, and why.
type Refuge struct {
	Dir   string    `json:"dir"`
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// Ledger is what is kept of each batch, to prove what became of it when the log has released it.
type Ledger struct {
	SizeBytes    int64          `json:"size_bytes"`
	MaxSizeBytes int64          `json:"max_size_bytes"`
	KeepSeconds  float64        `json:"keep_seconds"`
	Files        int            `json:"files"`
	First        streamdown.LSN `json:"first_lsn"`     // rows begin there
	Written      streamdown.LSN `json:"written_lsn"`   // all below has rows, but for what SkippedBytes and Damaged tell
	Oldest       *time.Time     `json:"oldest_at"`     // when the oldest file was begun; null without one
	Trouble      string         `json:"trouble"`       // why it cannot be written; empty if it can. The log keeps what has no rows
	Damaged      []string       `json:"damaged_files"` // as last seen; each is read again now and then
	SkippedBytes uint64         `json:"skipped_bytes"` // of the log that were released without rows since the start, for want of room
	LostBatches  uint64         `json:"lost_batches"`  // that it knew at the start and the log did not
}

// Scrub tells what became of reading the log's sealed segments again. Until a pass was whole, nothing is checked.
type Scrub struct {
	BytesPerSecond int64      `json:"bytes_per_second"` // data.scrub; 0 = off
	Way            string     `json:"way"`              // how they are read: direct (the device itself), evict, cached; empty until they were
	CheckedBytes   int64      `json:"checked_bytes"`    // since the start
	Passes         int        `json:"passes"`           // that were whole, since the start
	WholeAt        *time.Time `json:"whole_pass_at"`    // end of the last one
	WholeBytes     *int64     `json:"whole_pass_bytes"` // what it checked
	Pass           *ScrubPass `json:"pass"`             // under way; null between two
	Found          int        `json:"damage_found"`     // damaged ranges since the start, each once
	Ranges         int        `json:"damage_ranges"`    // damaged ranges in what the log keeps, as last seen
	Damage         []Rot      `json:"damage"`           // these; at most 1,000
	Trouble        string     `json:"trouble"`          // why the last pass was not whole; empty if it was
}

// ScrubPass is one pass over all sealed segments.
type ScrubPass struct {
	Since time.Time `json:"since"`
	Done  int64     `json:"done_bytes"`
	Total int64     `json:"total_bytes"`
}

// Rot is one damaged place of the log, [From, To) in its file and in the log.
type Rot struct {
	Kind      string         `json:"kind"` // header or state of a segment, which hold no records; entries; missing
	Segment   string         `json:"segment"`
	FromByte  int64          `json:"from_byte"`
	ToByte    int64          `json:"to_byte"`
	From      streamdown.LSN `json:"from_lsn"`
	To        streamdown.LSN `json:"to_lsn"`
	Detail    string         `json:"detail"`
	FirstSeen time.Time      `json:"first_seen"`
	Confirmed bool           `json:"confirmed"` // no record is in it that is not at the target
}

// Range is a part of the log, [From, To).
type Range struct {
	From streamdown.LSN `json:"from_lsn"`
	To   streamdown.LSN `json:"to_lsn"`
}

// Records counts records, except where a field says otherwise.
type Records struct {
	Accepted       uint64   `json:"accepted"` // durable in the log
	Acked          *uint64  `json:"acked"`    // producers were told that they are safe; nil while nobody counts it
	Confirmed      uint64   `json:"confirmed"`
	Backlog        int64    `json:"backlog_records"` // durable here, not confirmed there
	BacklogBytes   *int64   `json:"backlog_bytes"`   // of log entries
	OldestAge      *float64 `json:"oldest_age_seconds"`
	OnlyOnThisDisk int64    `json:"only_on_this_disk"` // acked and not confirmed, quarantined ones included: lost if this disk is
	AckedLocally   uint64   `json:"acked_locally"`     // batches acked from this disk although the target was asked for
	ClientRetries  uint64   `json:"client_retries"`    // batches recognized as a client's repeat of one that is held
}

// Gateway is the door for producers.
type Gateway struct {
	Connections int64             `json:"connections"` // open now
	Accepted    uint64            `json:"connections_accepted"`
	Requests    map[string]uint64 `json:"requests"` // by name of the Kafka API
	Refusals    map[string]uint64 `json:"refusals"` // by name of the Kafka error
	Malformed   uint64            `json:"malformed"`
	BytesIn     uint64            `json:"bytes_in"`
	OpenBytes   int64             `json:"open_bytes"` // of Produce requests that are read and undecided
	HeldReads   uint64            `json:"held_reads"` // times that reading waited for room
	HeldReplies uint64            `json:"held_replies"`
	Clients     map[string]int64  `json:"clients"` // open connections by software name and version
	Users       map[string]int64  `json:"users"`   // open connections by who they belong to; empty name = not known, or not asked
	Logins      []Login           `json:"logins"`
	Cut         map[string]uint64 `json:"connections_cut"` // closed, or not taken, for what they did or did not do, by why
	AckP50      *float64          `json:"ack_p50_seconds"`
	AckP99      *float64          `json:"ack_p99_seconds"`
	AckLatency  Histogram         `json:"-"`
}

// Login is how often a way to log in had an outcome: ok, or why not.
type Login struct {
	Mechanism string `json:"mechanism"`
	Outcome   string `json:"outcome"`
	Count     uint64 `json:"count"`
}

// Forward is the way to the target.
type Forward struct {
	BatchesSent    uint64            `json:"batches_sent"` // retries included
	Scans          uint64            `json:"scans"`        // reads of the target to find out what it holds
	Answers        map[string]uint64 `json:"answers"`      // by class
	ReadAheadBytes int64             `json:"read_ahead_bytes"`
}

// Lane is the path of one partition.
type Lane struct {
	Topic       string             `json:"topic"`
	Partition   int32              `json:"partition"`
	State       string             `json:"state"`        // idle, unbound, warm, cold, doubt, waiting, held, stopped
	Live        bool               `json:"live"`         // caught up: acks may wait for the target
	AcceptedEnd streamdown.Ordinal `json:"accepted_end"` // behind the last durable record
	Confirmed   streamdown.Ordinal `json:"confirmed"`    // all below are at the target
	Backlog     int64              `json:"backlog_records"`
	Offset      *streamdown.Offset `json:"offset"`  // the target's, behind the last confirmed record
	Stop        *Stop              `json:"stop"`    // nil while it is not stopped by an error
	Doubled     uint64             `json:"doubled"` // batches of ours seen twice at the target
	Lost        []Lost             `json:"lost"`    // ranges that damage took before they were sent
	Quarantined QuarantineStatus   `json:"quarantined"`
	Foreign     []Foreign          `json:"foreign"` // found at the target in this log's name and not in this log, since the start
}

// Stop is why a lane does not go on.
type Stop struct {
	At     time.Time `json:"at"`
	Code   int16     `json:"code"` // Kafka's error code, 0 if it is none of Kafka's
	Reason string    `json:"reason"`
	Retry  bool      `json:"retry"` // it tries again by itself now and then
}

// Lost is a range of records, [From, To).
type Lost struct {
	From streamdown.Ordinal `json:"from_ordinal"`
	To   streamdown.Ordinal `json:"to_ordinal"`
}

// Foreign is a run of records at the target, [Offset, End), that another process sent in this log's name.
type Foreign struct {
	PID     int64              `json:"producer_id"`
	From    streamdown.Ordinal `json:"from_ordinal"` // as that process counts, -1 if that is not known
	To      streamdown.Ordinal `json:"to_ordinal"`
	Offset  streamdown.Offset  `json:"from_offset"`
	End     streamdown.Offset  `json:"to_offset"`
	Records int64              `json:"records"`
}

// Renewal is one change of the log's id.
type Renewal struct {
	At  time.Time `json:"at"`
	Was string    `json:"was"`
}

// Hold is a person's order to stop lanes; records go on being accepted.
type Hold struct {
	Target string    `json:"target"` // "*", a topic, or topic/partition
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// Histogram is a distribution of durations, in seconds.
type Histogram struct {
	Bounds []float64 // upper bounds, rising
	Counts []uint64  // one more than Bounds: the last is for what is above them; not cumulative
	Sum    float64
}

// Known returns a pointer to v, or nil if v is the zero value: for fields of Status whose zero value means "not known".
func Known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
