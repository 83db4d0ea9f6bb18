package config

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/streamdown/streamdown"
)

// config reads the whole file. What is wrong gets its default, so that the rest can be checked too.
func (d *decoder) config(root *value) *Config {
	f := d.fields(root)
	d.version(root, f["version"])
	c := &Config{Listen: d.listen(f["listen"]), Auth: d.auth(f["auth"]), ACLs: d.text(f["auth"].at("acls"), ""), Data: d.data(root, f["data"]), Log: d.log(f["log"])}
	c.Systems = d.systems(root, f["systems"])
	c.Streams = d.streams(root, f["streams"])
	return c
}

func (d *decoder) version(root, v *value) {
	if v == nil {
		d.wrong(root, "version is missing; the file begins with: version: 1")
		return
	}
	if d.isScalar(v, "1") && v.text != "1" {
		d.wrong(v, "%s is not a version that this program knows; want 1", v.said())
	}
}

func (d *decoder) listen(v *value) Listen {
	f := d.fields(v)
	return Listen{Kafka: d.kafkaListener(f["kafka"]), HTTP: d.httpListener(f["http"])}
}

// Bounds of listen.http.max_body: below the first hardly a record comes in; above the second a few requests fill memory.
const (
	leastBody = 1 * KiB
	mostBody  = 256 * MiB
)

func (d *decoder) maxBody(v *value) Size {
	const fallback = 8 * MiB
	size := d.size(v, fallback)
	if v != nil && !v.broken && (size < leastBody || size > mostBody) {
		d.wrong(v, "%s is not between %s and %s", v.said(), leastBody, mostBody)
		return fallback
	}
	return size
}

// minDataSize is room for a few segments.
const minDataSize = 16 * MiB

func (d *decoder) data(root, v *value) Data {
	f := d.fields(v)
	data := Data{Dir: d.text(f["dir"], ""), MaxSize: d.size(f["max_size"], 10*GiB), Refuge: d.text(f["refuge"], "")}
	data.Ledger = d.ledger(f["ledger"])
	data.Scrub = d.rate(f["scrub"], 8*Rate(MiB))
	if f["dir"] == nil && (v == nil || !v.broken) {
		at := v
		if at == nil {
			at = root
		}
		d.foundIn(at.file, Error, at.line, at.column, "data.dir", "is missing; name the directory that holds the log")
	}
	if data.Refuge != "" && filepath.Clean(data.Refuge) == filepath.Clean(data.Dir) {
		d.wrong(f["refuge"], "%s is data.dir itself; a refuge helps on another disk only", f["refuge"].said())
	}
	if data.MaxSize < minDataSize && !f["max_size"].broken {
		d.wrong(f["max_size"], "%s is too little for a log; want at least %s", f["max_size"].said(), minDataSize)
	}
	d.scrub(f["scrub"], f["max_size"], &data)
	return data
}

// Bounds of data.ledger: below them it forgets what the log still has.
const (
	leastLedger     = 16 * MiB
	leastLedgerKeep = time.Hour
)

func (d *decoder) ledger(v *value) Ledger {
	f := d.fields(v)
	l := Ledger{Keep: d.duration(f["keep"], 90*24*time.Hour), MaxSize: d.size(f["max_size"], GiB)}
	if at := f["keep"]; at != nil && !at.broken && l.Keep < leastLedgerKeep {
		d.wrong(at, "%s is too short to prove anything by; want at least %s", at.said(), leastLedgerKeep)
		l.Keep = 90 * 24 * time.Hour
	}
	if at := f["max_size"]; at != nil && !at.broken && l.MaxSize < leastLedger {
		d.wrong(at, "%s is too little for a ledger; want at least %s", at.said(), leastLedger)
		l.MaxSize = GiB
	}
	return l
}

// maxScrubDays is how long reading the whole log again should take at most.
const maxScrubDays = 7

func (d *decoder) scrub(scrub, maxSize *value, data *Data) {
	if scrub != nil && scrub.broken {
		return
	}
	if data.Scrub == 0 {
		d.warn(scrub, "rot is then found on the day that the data is needed, and not before")
		return
	}
	days := float64(data.MaxSize) / float64(data.Scrub) / (24 * time.Hour).Seconds()
	if days <= maxScrubDays {
		return
	}
	if scrub == nil {
		scrub = maxSize
	}
	d.warn(scrub, "at data.scrub: %s it takes %.0f days to read a log of %s again; a higher rate finds rot sooner", data.Scrub, days, data.MaxSize)
}

func (d *decoder) systems(root, v *value) []System {
	if v == nil || !v.broken && (v.kind == nothing || v.kind == mapping && len(v.entries) == 0) {
		d.foundIn(root.file, Error, root.line, root.column, "systems", "is missing; say where streams go: systems: { primary: { kafka: { bootstrap.servers: \"host:9092\" } } }")
		return nil
	}
	if v.broken {
		return nil
	}
	if v.kind != mapping {
		d.wrong(v, "want a mapping of names to systems, not %s", v.kind)
		return nil
	}
	var systems []System
	for _, e := range v.entries {
		if !goodName.MatchString(e.key) {
			d.foundIn(e.value.file, Error, e.line, e.column, e.value.path, "%q is not a name; use letters, digits, '-', '_' and '.', at most 64", e.key)
		}
		f := d.fields(e.value)
		if f["kafka"] == nil && (e.value.kind == nothing || e.value.kind == mapping && len(e.value.entries) == 0) {
			d.wrong(e.value, "says no kind; write kafka: { bootstrap.servers: \"host:9092\" }")
		}
		system := System{Name: e.key}
		if f["kafka"] != nil {
			system.Kafka = d.kafka(f["kafka"])
		}
		systems = append(systems, system)
	}
	return systems
}

func (d *decoder) streams(root, v *value) []Stream {
	if v == nil || !v.broken && (v.kind == nothing || v.kind == list && len(v.items) == 0) {
		d.foundIn(root.file, Error, root.line, root.column, "streams", "is missing; without a stream no topic is accepted: streams: [{ name: all, topics: [\"*\"], to: primary }]")
		return nil
	}
	if v.broken {
		return nil
	}
	if v.kind != list {
		d.wrong(v, "want a list of streams, not %s", v.kind)
		return nil
	}
	var streams []Stream
	for _, item := range v.items {
		streams = append(streams, d.stream(item))
	}
	return streams
}

func (d *decoder) stream(v *value) Stream {
	f := d.fields(v)
	s := Stream{
		Name:         d.name(f["name"]),
		Topics:       d.topics(v, f["topics"]),
		To:           d.text(f["to"], ""),
		Acks:         Acks(d.choice(f["acks"], string(AcksRemote), string(AcksRemote), string(AcksWAL))),
		AckPatience:  d.duration(f["ack_patience"], 1500*time.Millisecond),
		WhenIsolated: WhenIsolated(d.choice(f["when_isolated"], string(Accept), string(Accept), string(Reject))),
		Priority:     Priority(d.choice(f["priority"], string(Normal), priorityNames()...)),
		Retain:       d.duration(f["retain"], time.Hour),
	}
	if v.kind == nothing && !v.broken {
		d.wrong(v, "is empty; want { name: …, topics: […], to: … }")
		return s
	}
	if f["name"] == nil && v.kind == mapping {
		d.foundIn(v.file, Error, v.line, v.column, v.path+".name", "is missing")
	}
	d.patience(f["ack_patience"], s.AckPatience)
	if s.Acks == AcksWAL {
		if f["ack_patience"] != nil {
			d.warn(f["ack_patience"], "has no effect with acks: wal, which never waits for the target")
		}
		if f["when_isolated"] != nil && s.WhenIsolated == Reject {
			d.wrong(f["when_isolated"], "contradicts acks: wal, which acks from the log alone; want acks: remote")
		}
	}
	if f["retain"] != nil && !f["retain"].broken && s.Retain == 0 {
		d.warn(f["retain"], "without retained payload, what the target loses after it was confirmed cannot be sent again")
	}
	return s
}

// Bounds of ack_patience: below the first, a healthy target would look silent; above the second, clients give up first
// (30 s is the request timeout of most).
const (
	minPatience = 10 * time.Millisecond
	maxPatience = 20 * time.Second
)

func (d *decoder) patience(v *value, patience time.Duration) {
	if v != nil && !v.broken && (patience < minPatience || patience > maxPatience) {
		d.wrong(v, "%s is not between %s and %s: a target would look silent at once, or clients would give up first",
			v.said(), minPatience, maxPatience)
	}
}

func (d *decoder) topics(stream, v *value) []string {
	if v == nil {
		if stream.kind == mapping {
			d.foundIn(stream.file, Error, stream.line, stream.column, stream.path+".topics", "is missing; write topics: [\"*\"] for all topics")
		}
		return nil
	}
	if v.broken {
		return nil
	}
	if v.kind != list {
		if v.kind == text && v.text != "" && !v.secret {
			d.wrong(v, "want a list; write [%q]", v.text)
		} else {
			d.wrong(v, "want a list of topic names, not %s", v.kind)
		}
		return nil
	}
	if len(v.items) == 0 {
		d.wrong(v, "is empty; write [\"*\"] for all topics")
	}
	var topics []string
	for _, item := range v.items {
		topics = append(topics, d.glob(item))
	}
	return topics
}

// glob returns a pattern that can match a topic, or "".
func (d *decoder) glob(v *value) string {
	glob := d.text(v, "")
	for _, c := range glob {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-*?", c)) {
			d.wrong(v, "%s cannot match: topics are made of letters, digits, '.', '_' and '-'; * stands for any run of them, ? for one", v.said())
			return ""
		}
	}
	if len(glob) > streamdown.MaxTopic && !strings.Contains(glob, "*") {
		d.wrong(v, "is longer than any topic name (%d)", streamdown.MaxTopic)
		return ""
	}
	return glob
}
