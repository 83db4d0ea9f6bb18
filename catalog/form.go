package catalog

import (
	"github.com/streamdown/streamdown"
)

// form is how the log writes what lasts of a topic: with names and units of its own, so that a field that gets another
// name here does not lose what was written.
type form struct {
	ID              string `json:"id,omitempty"` // none before Kafka 2.8
	Partitions      int    `json:"partitions"`
	Known           bool   `json:"settings_known,omitempty"`
	MaxMessageBytes int32  `json:"max_message_bytes"`
	Compacted       bool   `json:"compacted,omitempty"`
	LogAppendTime   bool   `json:"log_append_time,omitempty"`
	BeforeMax       int64  `json:"before_max_ms,omitempty"`
	AfterMax        int64  `json:"after_max_ms,omitempty"`
	Retention       int64  `json:"retention_ms,omitempty"`
	MinInSync       int    `json:"min_insync,omitempty"`
	Compression     string `json:"compression,omitempty"`
}

func formOf(t *Topic) *form {
	c := &t.Config
	f := &form{
		Partitions: len(t.Partitions), Known: c.Known, MaxMessageBytes: c.MaxMessageBytes, Compacted: c.Compacted, LogAppendTime: c.LogAppendTime,
		BeforeMax: c.BeforeMax.Milliseconds(), AfterMax: c.AfterMax.Milliseconds(), Retention: c.Retention.Milliseconds(),
		MinInSync: c.MinInSync, Compression: c.Compression,
	}
	if !t.ID.IsZero() {
		f.ID = t.ID.String()
	}
	return f
}

// maxPartitions bounds what a damaged number can make us allocate; Kafka itself has room for far fewer.
const maxPartitions = 1 << 22

func (f *form) topic(name string) (*Topic, error) {
	t := &Topic{Name: name, Config: TopicConfig{
		Known: f.Known, MaxMessageBytes: f.MaxMessageBytes, Compacted: f.Compacted, LogAppendTime: f.LogAppendTime,
		BeforeMax: msDuration(f.BeforeMax), AfterMax: msDuration(f.AfterMax), Retention: msDuration(f.Retention), MinInSync: f.MinInSync, Compression: f.Compression,
	}}
	if f.ID != "" {
		var err error
		if t.ID, err = streamdown.ParseID(f.ID); err != nil {
			return nil, err
		}
	}
	t.Partitions = noLeaders(min(max(f.Partitions, 0), maxPartitions))
	return t, nil
}

// noLeaders are partitions of which nothing is known but that they exist.
func noLeaders(n int) []Partition {
	ps := make([]Partition, n)
	for i := range ps {
		ps[i] = Partition{Leader: -1, LeaderEpoch: -1}
	}
	return ps
}
