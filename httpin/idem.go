package httpin

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/ingest"
)

// Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): the same key on the same topic is stored once.
//
// Durably, a key is a producer of its own. Its producer id is a hash of user, topic and key, its epoch 14 bits of a hash of
// the request, its sequences begin at 1, and what the intake remembers of each producer and partition (rule B2: durable
// with the batches themselves, for 15 minutes at least) judges a repeat:
//
//   - a partition that has no batch of the key stores it: the first time, or what a crash left out of the first;
//   - a partition that has it answers "duplicate" if even the timestamps are equal, "out of order" otherwise, and "stale
//     epoch" to a request whose hash is lower. Asking once more with the epoch below tells an equal hash from a higher one.
//
// In memory the door keeps the answers of the last keys, so that a repeat gets the first answer as it was, and knows the
// keys under way.
//
// It does not hold where partitions are added to the topic in between (keys then go elsewhere, and so does a repeat);
// and another request under a used key is noticed after a restart only if it meets a partition that has the first one.
// Where users log in each has keys of its own, so that nobody gets the answer to another one's. They are not secrets
// between those who may write to a topic: with a Kafka client one could send under a key's id.
type onceKey struct {
	id       [16]byte // hash of user, topic and key
	print    [16]byte // hash of the request
	replayed bool     // a part of it was stored before
}

// maxKey bounds an Idempotency-Key, in bytes.
const maxKey = 255

// keyOf reads the header: a string in quotes (RFC 8941), as the draft says, or bare, as most clients send it.
func keyOf(hr *http.Request) (string, *Problem) {
	values := hr.Header["Idempotency-Key"]
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if strings.HasPrefix(key, `"`) {
		key = unquoteHeader(key)
	}
	bad := len(values) > 1 || key == "" || len(key) > maxKey
	for i := range len(key) {
		bad = bad || key[i] < 0x20 || key[i] > 0x7e
	}
	if bad {
		return "", refuse(http.StatusBadRequest, "idempotency_key", "malformed Idempotency-Key", `a UUID in double quotes`,
			"Idempotency-Key has to be one string of 1 to %d printable ASCII characters", maxKey)
	}
	return key, nil
}

// newOnceKey makes the identity of a request: what was sent, and what decides how it is cut into batches.
func newOnceKey(topic, key string, hr *http.Request, r *request, partitions, limit int) *onceKey {
	k := &onceKey{}
	h := sha256.New()
	put := func(parts ...string) {
		var n [8]byte
		for _, p := range parts {
			binary.LittleEndian.PutUint64(n[:], uint64(len(p)))
			h.Write(n[:])
			h.Write([]byte(p))
		}
	}
	if who := auth.PrincipalOf(hr.Context()); who != nil {
		put("streamdown idempotency key of a user", who.Name, topic, key)
	} else {
		put("streamdown idempotency key", topic, key)
	}
	copy(k.id[:], h.Sum(nil))
	h.Reset()
	put("streamdown request", r.form.String(), hr.URL.RawQuery, hr.Header.Get("Content-Type"))
	binary.Write(h, binary.LittleEndian, [2]int64{int64(partitions), int64(limit)}) //nolint:errcheck // a hash takes everything
	if r.form == formBinary {
		for _, head := range r.headers {
			put(string(head.Key), string(head.Value))
		}
	}
	h.Write(r.body)
	copy(k.print[:], h.Sum(nil))
	return k
}

// spreadBy is where the key's records without a key begin: everywhere in turn, and the same place again.
func (k *onceKey) spreadBy() uint64 { return binary.LittleEndian.Uint64(k.id[8:]) }

func (k *onceKey) stamp() batch.Stamp {
	return batch.Stamp{
		ProducerID:   int64(binary.LittleEndian.Uint64(k.id[:]) >> 1),      //nolint:gosec // 63 bits
		Epoch:        int16(binary.LittleEndian.Uint16(k.print[:])>>1) | 1, //nolint:gosec // 15 bits; odd, so that it has one below that is nobody's
		BaseSequence: 1,
	}
}

// replay finds out why a partition did not take a batch of a key: because it has it already, or has another.
func (d *Door) replay(r *request, c *chunk, tp streamdown.TopicPartition, b []byte, key *onceKey) *Problem {
	if c.result.Code == kerr.OutOfOrderSequenceNumber.Code {
		stamp := key.stamp()
		h, err := batch.ParseHeader(b)
		if err == nil {
			stamp.BaseSequence = h.BaseSequence
		}
		stamp.Epoch--
		copy(r.press.header[:], b)
		batch.Restamp((*[batch.HeaderSize]byte)(b), r.press.header[:], stamp)
		again := make(chan ingest.Result, 1)
		d.intake.Produce(ingest.Request{TopicPartition: tp, Records: b, Acks: 1}, func(res ingest.Result) { again <- res })
		select {
		case res := <-again:
			switch {
			case res.Code == kerr.InvalidProducerEpoch.Code:
				return key.stored(c)
			case res.Code != 0 && res.Code != kerr.OutOfOrderSequenceNumber.Code || res.Close:
				return ofResult(tp.Topic, &res)
			case res.Code == 0:
				return key.stored(c)
			}
		default:
			// Not refused: the partition forgot the first one in this moment and has taken the repeat. It says when it
			// is durable; until then nothing is certain.
			return undecided("the key's time ran out while it was looked up")
		}
	}
	return refuse(http.StatusUnprocessableEntity, "idempotency_key_reused", "the Idempotency-Key is another request's", "a new key for each new request",
		"partition %d holds other records under this key", tp.Partition)
}

func (k *onceKey) stored(c *chunk) *Problem {
	k.replayed = true
	c.replayed, c.result = true, ingest.Result{Base: streamdown.NoOffset}
	return nil
}

// memory bounds what is kept of answers.
const (
	keptFor   = 15 * time.Minute // as long as the intake remembers for certain
	keptBytes = 16 << 20
	keptCost  = 256 // of an answer besides its body

	// maxKeys bounds the keys that one partition takes in keptFor: each takes one of the 5,000 places that the intake
	// has for producers there, which those with a Kafka client need too. A node that was restarted counts anew.
	maxKeys = 1500
)

// onceMemory knows the keys under way and the last answers.
type onceMemory struct {
	mu    sync.Mutex // guards the following
	keys  map[[16]byte]*list.Element
	order list.List // of *onceAnswer, oldest first
	bytes int
	used  map[streamdown.TopicPartition]*keyCount
}

type onceAnswer struct {
	id, print [16]byte
	at        time.Time
	running   bool
	status    int
	receipt   string
	body      []byte
}

// keyCount counts keys in two halves of time, so that it need not remember each.
type keyCount struct {
	since    time.Time
	now, was int
}

// begin returns the answer that the key had before; or a problem; or neither, and then end has to be called.
func (m *onceMemory) begin(k *onceKey, now time.Time) (*onceAnswer, *Problem) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys == nil {
		m.keys = map[[16]byte]*list.Element{}
	}
	for e := m.order.Front(); e != nil; e = m.order.Front() {
		if a := e.Value.(*onceAnswer); a.running || now.Sub(a.at) < keptFor && m.bytes <= keptBytes {
			break
		}
		m.dropLocked(e)
	}
	if e := m.keys[k.id]; e != nil {
		a := e.Value.(*onceAnswer)
		switch {
		case a.print != k.print:
			return nil, refuse(http.StatusUnprocessableEntity, "idempotency_key_reused", "the Idempotency-Key is another request's",
				"a new key for each new request", "this key came with another request before")
		case a.running:
			return nil, refuse(http.StatusConflict, "idempotency_key_in_use", "the first request with this Idempotency-Key is under way",
				"ask again after Retry-After", "its answer is not known yet").after(time.Second)
		}
		return a, nil
	}
	m.keys[k.id] = m.order.PushBack(&onceAnswer{id: k.id, print: k.print, at: now, running: true})
	return nil, nil
}

func (m *onceMemory) dropLocked(e *list.Element) {
	a := m.order.Remove(e).(*onceAnswer)
	delete(m.keys, a.id)
	if !a.running {
		m.bytes -= len(a.body) + keptCost
	}
}

// end keeps the answer, or forgets the key when its request was not answered well: a repeat is then tried again.
func (m *onceMemory) end(k *onceKey, status int, receipt string, body []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.keys[k.id]
	if e == nil {
		return
	}
	a := e.Value.(*onceAnswer)
	if !a.running {
		return
	}
	if status == 0 || len(body) > keptBytes/4 {
		m.dropLocked(e)
		return
	}
	a.running, a.status, a.receipt, a.body = false, status, receipt, append([]byte(nil), body...)
	m.bytes += len(body) + keptCost
}

// charge counts one more key for each partition; a problem when one has had too many.
func (m *onceMemory) charge(topic string, partitions []int32, now time.Time) *Problem {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used == nil {
		m.used = map[streamdown.TopicPartition]*keyCount{}
	}
	for _, p := range partitions {
		tp := streamdown.TopicPartition{Topic: topic, Partition: p}
		c := m.used[tp]
		if c == nil {
			c = &keyCount{since: now}
			m.used[tp] = c
		}
		if age := now.Sub(c.since); age >= keptFor {
			c.since, c.was, c.now = now, c.now, 0
			if age >= 2*keptFor {
				c.was = 0
			}
		}
		if c.now+c.was >= maxKeys {
			return refuse(http.StatusTooManyRequests, "too_many_idempotency_keys", "too many Idempotency-Keys", "send more records under one key, or none",
				"%s had %d keys within %s", tp, maxKeys, keptFor).after(max(c.since.Add(keptFor).Sub(now), time.Second))
		}
	}
	for _, p := range partitions {
		m.used[streamdown.TopicPartition{Topic: topic, Partition: p}].now++
	}
	return nil
}
