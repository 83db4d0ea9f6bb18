package demo

import (
	"fmt"
	"testing"

	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/sink"
)

// TestBentBatchesPassEveryCheckOfABroker shows that a planted fault can be seen in the records only.
func TestBentBatchesPassEveryCheckOfABroker(t *testing.T) {
	stamp := batch.Stamp{ProducerID: 77, Epoch: 3, BaseSequence: 1200}
	for _, codec := range []batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd} {
		for _, tt := range []struct {
			plant Plant
			want  string
			stamp batch.Stamp
		}{
			{PlantDrop, "0 2 3", stamp},
			{PlantSwap, "0 2 1 3", stamp},
			{PlantDup, "0 1 2 3", batch.NoStamp},
		} {
			t.Run(fmt.Sprintf("%v/%s", codec, tt.plant), func(t *testing.T) {
				var b batch.Builder
				for i := range 4 {
					b.Append(1_700_000_000_000+int64(i), []byte("key"), fmt.Append(nil, i), batch.RecordHeader{Key: []byte("h"), Value: nil})
				}
				built, err := b.Build(codec, stamp)
				if err != nil {
					t.Fatal(err)
				}
				before := string(built)
				p := sink.Parcel{Header: [batch.HeaderSize]byte(built), Payload: built[batch.HeaderSize:]}
				bent, err := bend(p, tt.plant, 1)
				if err != nil {
					t.Fatal(err)
				}
				if string(built) != before {
					t.Error("the node's own bytes were changed")
				}
				whole := append(bent.Header[:], bent.Payload...)
				if err := batch.Verify(whole); err != nil {
					t.Fatal(err)
				}
				h, err := batch.ParseHeader(whole)
				if err != nil {
					t.Fatal(err)
				}
				if got := (batch.Stamp{ProducerID: h.ProducerID, Epoch: h.ProducerEpoch, BaseSequence: h.BaseSequence}); got != tt.stamp || h.Codec() != codec {
					t.Errorf("stamp %+v, codec %v", got, h.Codec())
				}
				got := ""
				for r, err := range batch.Records(whole) {
					if err != nil {
						t.Fatal(err)
					}
					if len(r.Headers) != 1 || string(r.Key) != "key" {
						t.Errorf("record %s lost its key or headers", r.Value)
					}
					got += " " + string(r.Value)
				}
				if got != " "+tt.want {
					t.Errorf("records%s, want %s", got, tt.want)
				}
			})
		}
	}
}
