package batch

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// deflaters are the encoders that a builder keeps from one batch to the next.
type deflaters struct {
	gzip   *gzip.Writer
	lz4    *lz4.Writer
	zstd   *zstd.Encoder
	snappy []byte
}

// deflate appends the records to out in the given codec. Snappy is one bare block, as librdkafka and franz-go write it.
func (d *deflaters) deflate(out []byte, codec Codec, records []byte) ([]byte, error) {
	switch codec {
	case None:
		return append(out, records...), nil
	case Gzip:
		to := bytes.NewBuffer(out)
		if d.gzip == nil {
			d.gzip = gzip.NewWriter(to)
		}
		d.gzip.Reset(to)
		if _, err := d.gzip.Write(records); err != nil {
			return nil, err
		}
		err := d.gzip.Close()
		return to.Bytes(), err
	case Snappy:
		d.snappy = snappy.Encode(d.snappy[:cap(d.snappy)], records)
		return append(out, d.snappy...), nil
	case LZ4:
		to := bytes.NewBuffer(out)
		if d.lz4 == nil {
			d.lz4 = lz4.NewWriter(nil)
			if err := d.lz4.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false)); err != nil {
				return nil, err
			}
		}
		d.lz4.Reset(to)
		if _, err := d.lz4.Write(records); err != nil {
			return nil, err
		}
		err := d.lz4.Close()
		return to.Bytes(), err
	case Zstd:
		if d.zstd == nil {
			enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
			if err != nil {
				return nil, err
			}
			d.zstd = enc
		}
		return d.zstd.EncodeAll(records, out), nil
	}
	return nil, fmt.Errorf("unknown compression")
}
