package quarantine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
)

// Record tells which batch it is and why it is here.
type Record struct {
	Log       string             `json:"log"` // the log's id when the batch was refused
	Lane      streamdown.LaneID  `json:"lane"`
	Topic     string             `json:"topic"`
	Partition int32              `json:"partition"`
	From      streamdown.Ordinal `json:"from_ordinal"`
	Records   int32              `json:"records"`
	Arrival   time.Time          `json:"arrival"` // when the log took it
	Code      int16              `json:"code"`    // the target's
	Reason    string             `json:"reason"`  // the target's words; at most MaxReason bytes are kept
	At        time.Time          `json:"at"`      // when it was quarantined
}

// MaxReason is how much of a reason is kept, in bytes.
const MaxReason = 1000

// To is the ordinal behind the last record.
func (r *Record) To() streamdown.Ordinal { return r.From + streamdown.Ordinal(r.Records) }

// TopicPartition names the partition that the batch was for.
func (r *Record) TopicPartition() streamdown.TopicPartition {
	return streamdown.TopicPartition{Topic: r.Topic, Partition: r.Partition}
}

// ID is how people name the batch: TOPIC/PARTITION@ORDINAL.
func (r *Record) ID() string { return ID(r.TopicPartition(), r.From) }

// ID is how people name a batch: TOPIC/PARTITION@ORDINAL, with the ordinal of its first record.
func ID(tp streamdown.TopicPartition, from streamdown.Ordinal) string {
	return tp.String() + "@" + strconv.FormatInt(int64(from), 10)
}

// ParseID reads what ID writes.
func ParseID(s string) (tp streamdown.TopicPartition, from streamdown.Ordinal, err error) {
	lane, ordinal, ok := strings.Cut(s, "@")
	topic, partition, slash := strings.Cut(lane, "/")
	p, err := strconv.ParseInt(partition, 10, 32)
	o, oerr := strconv.ParseInt(ordinal, 10, 64)
	if !ok || !slash || topic == "" || err != nil || oerr != nil || p < 0 || o < 0 {
		return tp, 0, fmt.Errorf("%q names no quarantined batch: they are named TOPIC/PARTITION@ORDINAL, such as orders/0@1200", s)
	}
	return streamdown.TopicPartition{Topic: topic, Partition: int32(p)}, streamdown.Ordinal(o), nil
}

// Key names a file: ordinals are counted anew by nobody but another log.
type Key struct {
	Log  string
	Lane streamdown.LaneID
	From streamdown.Ordinal
}

// Key names the record's file.
func (r *Record) Key() Key { return Key{r.Log, r.Lane, r.From} }

const suffix = ".batch"

func (k Key) name() string { return fmt.Sprintf("%s-%010d-%020d%s", k.Log, k.Lane, k.From, suffix) }

const (
	headSize  = 24
	maxRecord = 64 << 10
	maxBatch  = 128 << 20
)

var (
	magic      = [8]byte{'S', 'D', 'Q', 'U', 'A', 'R', 0, 1}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// ErrDamaged says that a file is not what was written.
var ErrDamaged = errors.New("damaged")

// encode makes the content of a file.
func encode(r *Record, body []byte) ([]byte, error) {
	j, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if len(j) > maxRecord || len(body) > maxBatch {
		return nil, fmt.Errorf("a record of %d and a batch of %d bytes do not fit", len(j), len(body))
	}
	b := make([]byte, headSize, headSize+len(j)+len(body))
	copy(b, magic[:])
	binary.LittleEndian.PutUint32(b[8:], uint32(len(j)))     //nolint:gosec // bounded
	binary.LittleEndian.PutUint32(b[12:], uint32(len(body))) //nolint:gosec // bounded
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(body, castagnoli))
	binary.LittleEndian.PutUint32(b[20:], crc32.Update(crc32.Checksum(b[:20], castagnoli), castagnoli, j))
	return append(append(b, j...), body...), nil
}

// sizes reads the fixed part of a file.
func sizes(b []byte) (record, body int, err error) {
	if len(b) < headSize || [7]byte(b[:7]) != [7]byte(magic[:7]) {
		return 0, 0, fmt.Errorf("%w: it does not begin as a quarantined batch does", ErrDamaged)
	}
	if b[7] != magic[7] {
		return 0, 0, fmt.Errorf("format %d was written by a newer version of streamdown", b[7])
	}
	record, body = int(binary.LittleEndian.Uint32(b[8:])), int(binary.LittleEndian.Uint32(b[12:]))
	if record > maxRecord || body > maxBatch {
		return 0, 0, fmt.Errorf("%w: its sizes are", ErrDamaged)
	}
	return record, body, nil
}

// parseRecord reads what comes before the batch; b may end anywhere behind it.
func parseRecord(b []byte) (*Record, error) {
	size, _, err := sizes(b)
	if err != nil {
		return nil, err
	}
	if len(b) < headSize+size {
		return nil, fmt.Errorf("%w: it ends in the middle", ErrDamaged)
	}
	j := b[headSize : headSize+size]
	if crc32.Update(crc32.Checksum(b[:20], castagnoli), castagnoli, j) != binary.LittleEndian.Uint32(b[20:]) {
		return nil, fmt.Errorf("%w: the checksum of its record is wrong", ErrDamaged)
	}
	r := &Record{}
	if err := json.Unmarshal(j, r); err != nil {
		return nil, fmt.Errorf("%w: its record: %w", ErrDamaged, err)
	}
	return r, nil
}

// Parse reads the content of a file and checks all of it. The batch is a part of b.
func Parse(b []byte) (*Record, []byte, error) {
	r, err := parseRecord(b)
	if err != nil {
		return nil, nil, err
	}
	record, size, _ := sizes(b)
	body := b[headSize+record:]
	if len(body) != size {
		return r, nil, fmt.Errorf("%w: its batch has %d bytes instead of %d", ErrDamaged, len(body), size)
	}
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[16:]) {
		return r, nil, fmt.Errorf("%w: the checksum of its batch is wrong", ErrDamaged)
	}
	if err := batch.Verify(body); err != nil {
		return r, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return r, body, nil
}
