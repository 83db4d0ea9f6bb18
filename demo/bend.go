package demo

import (
	"bytes"

	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/sink"
)

// bend returns a changed copy of a batch; record at is the first that the fault concerns.
func bend(p sink.Parcel, plant Plant, at int) (sink.Parcel, error) {
	whole := append(bytes.Clone(p.Header[:]), p.Payload...)
	if plant == PlantDup {
		p.Payload = whole[batch.HeaderSize:]
		batch.Restamp(&p.Header, whole, batch.NoStamp)
		return p, nil
	}
	h, err := batch.ParseHeader(whole)
	if err != nil {
		return p, err
	}
	var records []batch.Record
	for r, err := range batch.Records(whole) {
		if err != nil {
			return p, err
		}
		records = append(records, kept(r))
	}
	if plant == PlantDrop {
		records = append(records[:at], records[at+1:]...)
	} else {
		records[at], records[at+1] = records[at+1], records[at]
	}
	var b batch.Builder
	for _, r := range records {
		b.Append(r.Timestamp, r.Key, r.Value, r.Headers...)
	}
	stamp := batch.Stamp{ProducerID: h.ProducerID, Epoch: h.ProducerEpoch, BaseSequence: h.BaseSequence}
	built, err := b.Build(h.Codec(), stamp)
	if err != nil {
		return p, err
	}
	p.Payload = built[batch.HeaderSize:] // the builder is not used again
	batch.Restamp(&p.Header, built, stamp)
	return p, nil
}

// kept copies a record whose bytes are valid for one step only.
func kept(r batch.Record) batch.Record {
	c := batch.Record{Timestamp: r.Timestamp, Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)}
	for _, h := range r.Headers {
		c.Headers = append(c.Headers, batch.RecordHeader{Key: bytes.Clone(h.Key), Value: bytes.Clone(h.Value)})
	}
	return c
}
