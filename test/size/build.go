package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ingest"
	"github.com/streamdown/streamdown/wal"
)

const (
	perTopic     = 100     // partitions of a topic
	batchBytes   = 3 << 10 // of a batch, nearly
	batchRecords = 10
	watched      = 4 // the first so many lanes: where each of their batches lies is written down
)

// shape is what a log is like.
type shape struct {
	Bytes     int64 `json:"log_bytes"`
	Lanes     int   `json:"lanes"`
	Producers int   `json:"producers_per_topic"`
}

// built is what was made of a shape; it lies beside the log.
type built struct {
	Shape   shape              `json:"shape"`
	Batches int64              `json:"batches"`
	Body    int                `json:"batch_bytes"`
	Places  [][]streamdown.LSN `json:"places"` // by watched lane: the position of each batch
	First   streamdown.LSN     `json:"first_lsn"`
	End     streamdown.LSN     `json:"end_lsn"`
	Elapsed float64            `json:"elapsed_seconds"`
}

func topicName(i int) string { return fmt.Sprintf("stream-%03d", i) }

func topics(lanes int) int { return (lanes + perTopic - 1) / perTopic }

func partitions(lanes, topic int) int { return min(perTopic, lanes-topic*perTopic) }

func laneOf(i int) streamdown.TopicPartition {
	return streamdown.TopicPartition{Topic: topicName(i / perTopic), Partition: int32(i % perTopic)} //nolint:gosec // small
}

// build makes the log in dir, or takes the one that an earlier run left there.
func build(ctx context.Context, dir string, s shape) (*built, error) {
	note := filepath.Join(dir, "built.json")
	if raw, err := os.ReadFile(note); err == nil {
		var b built
		if json.Unmarshal(raw, &b) == nil && b.Shape == s {
			return &b, nil
		}
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return nil, err
	}
	began := time.Now()
	b, err := fill(ctx, dir, s)
	if err != nil {
		return nil, fmt.Errorf("build a log of %d bytes: %w", s.Bytes, err)
	}
	b.Elapsed = time.Since(began).Seconds()
	raw, err := json.Marshal(b)
	if err == nil {
		err = os.WriteFile(note, raw, 0o644)
	}
	return b, err
}

// fill appends to an empty log, with the books that a gateway has, so that its segments begin with the same states.
func fill(ctx context.Context, dir string, s shape) (b *built, err error) {
	known := catalog.New()
	l, _, err := wal.Open(wal.Config{Dir: dir, Books: []wal.Book{delivery.New(), ingest.New(ingest.Config{}), known}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Begin(); err != nil {
		return nil, err
	}
	if err := nameTopics(l, known, s); err != nil {
		return nil, err
	}
	lanes := make([]streamdown.LaneID, s.Lanes)
	for i := range lanes {
		if lanes[i], err = l.Lane(laneOf(i)); err != nil {
			return nil, err
		}
	}
	bodies, err := bodies()
	if err != nil {
		return nil, err
	}
	b = &built{Shape: s, Body: len(bodies[0]), First: l.Stats().First, Places: make([][]streamdown.LSN, watched)}
	ordinals := make([]streamdown.Ordinal, s.Lanes)
	sequences := make([]int32, s.Lanes*s.Producers)
	rng := rand.New(rand.NewPCG(1, 2))
	e := wal.Entry{Kind: wal.KindBatch, Count: batchRecords}
	for int64(e.End()-b.First) < s.Bytes { //nolint:gosec // sizes of files
		if b.Batches%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		lane, producer := rng.IntN(s.Lanes), rng.IntN(s.Producers)
		seq := &sequences[lane*s.Producers+producer]
		e.Body = bodies[b.Batches%int64(len(bodies))]
		pid := int64(1_000_000 + lane/perTopic*s.Producers + producer)
		batch.Restamp((*[batch.HeaderSize]byte)(e.Body), e.Body, batch.Stamp{ProducerID: pid, BaseSequence: *seq})
		e.Lane, e.Ordinal, e.Arrival = lanes[lane], ordinals[lane], 0
		l.Ready()
		if _, err := l.Append(&e); err != nil {
			return nil, err
		}
		*seq += batchRecords
		ordinals[lane] += batchRecords
		b.Batches++
		if lane < watched {
			b.Places[lane] = append(b.Places[lane], e.LSN)
		}
	}
	b.End = e.End()
	return b, l.Wait(ctx, b.End)
}

// nameTopics lets the catalog know the topics, so that the gateway can answer producers while the target is down.
func nameTopics(l *wal.Log, known *catalog.Catalog, s shape) error {
	cl := &catalog.Cluster{ID: clusterID, Controller: -1, Topics: map[string]*catalog.Topic{}}
	for i := range topics(s.Lanes) {
		config := catalog.DefaultTopicConfig()
		config.Known = true
		cl.Topics[topicName(i)] = &catalog.Topic{
			Name: topicName(i), ID: streamdown.ID{15: byte(i), 14: byte(i >> 8)}, //nolint:gosec // cut on purpose
			Partitions: make([]catalog.Partition, partitions(s.Lanes, i)), Config: config,
		}
	}
	known.Update(cl)
	for _, e := range known.Entries() {
		if _, err := l.Append(e); err != nil {
			return err
		}
	}
	return nil
}

// bodies are a few whole batches with values that nothing can compress.
func bodies() (all [][]byte, err error) {
	noise := rand.NewChaCha8([32]byte{7})
	value := make([]byte, (batchBytes-batch.HeaderSize)/batchRecords-12)
	for range 16 {
		var build batch.Builder
		for range batchRecords {
			_, _ = noise.Read(value) // never fails
			build.Append(time.Now().UnixMilli(), nil, value)
		}
		body, err := build.Build(batch.None, batch.NoStamp)
		if err != nil {
			return nil, err
		}
		all = append(all, body)
	}
	return all, nil
}

// lay puts links to the log's files into the gateway's data directory, which is made anew: a gateway writes to no
// segment that was there before it, and takes none away within the retention that the configuration asks for.
func lay(log, data string) error {
	if err := errors.Join(os.RemoveAll(data), os.MkdirAll(data, 0o755)); err != nil {
		return err
	}
	names, err := os.ReadDir(log)
	if err != nil {
		return err
	}
	for _, n := range names {
		if filepath.Ext(n.Name()) == ".wal" || n.Name() == "manifest" {
			if err := os.Link(filepath.Join(log, n.Name()), filepath.Join(data, n.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// chill asks the kernel to forget the files' pages: they are synced.
func chill(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("drop %s from the page cache: %w", name, err)
		}
	}
	return nil
}
