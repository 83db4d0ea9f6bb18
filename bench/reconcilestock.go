package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ledger"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/sink"
	"github.com/streamdown/streamdown/test/realkafka"
	"github.com/streamdown/streamdown/wal"
)

const benchTopic = "bench"

// stocked is a log, its ledger, and a real Kafka that has all of it.
type stocked struct {
	reconcileOptions
	data   string
	kafka  *realkafka.Broker
	log    *wal.Log
	book   *delivery.Book
	keeper *ledger.Keeper
}

// stock makes batches of one record each, in the log and in Kafka.
func stock(ctx context.Context, o reconcileOptions, dir string) (_ *stocked, err error) {
	s := &stocked{reconcileOptions: o, data: filepath.Join(dir, "data"), book: delivery.New()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := os.Mkdir(s.data, 0o700); err != nil {
		return nil, err
	}
	if s.kafka, err = realkafka.Start(ctx, realkafka.Options{Dir: filepath.Join(dir, "kafka")}); err != nil {
		return nil, err
	}
	if err := s.kafka.CreateTopic(ctx, benchTopic, int32(o.partitions), nil); err != nil { //nolint:gosec // a few
		return nil, err
	}
	s.keeper = ledger.New(ledger.Config{Dir: filepath.Join(s.data, "ledger"), LogDir: s.data, State: delivery.New()})
	if s.log, _, err = wal.Open(wal.Config{Dir: s.data, SegmentSize: 16 << 20, Books: []wal.Book{s.book, s.keeper}}); err != nil {
		return nil, err
	}
	if err := s.keeper.Open(s.log); err != nil {
		return nil, err
	}
	return s, s.fill(ctx)
}

func (s *stocked) close() error {
	var errs []error
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	if s.kafka != nil {
		errs = append(errs, s.kafka.Kill())
	}
	return errors.Join(errs...)
}

// fill sends a round, one batch for each partition in a request, as soon as the log has it. One request is unanswered.
func (s *stocked) fill(ctx context.Context) error {
	client, err := kafka.New(kafka.Config{Bootstrap: []string{s.kafka.Addr()}, RequestTimeout: 2 * time.Minute, ProduceTimeout: time.Minute})
	if err != nil {
		return err
	}
	defer client.Close()
	topics := reconcile.NewKafkaTopics(client)
	for p := range s.partitions { // a new topic is not led at once
		tp := streamdown.TopicPartition{Topic: benchTopic, Partition: int32(p)} //nolint:gosec // a few
		for {
			if _, err := topics.Pin(ctx, tp); err == nil {
				break
			}
			topics = reconcile.NewKafkaTopics(client)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	pid, err := topics.NewProducerID(ctx)
	if err != nil {
		return err
	}
	view, err := client.Look(ctx, []string{benchTopic})
	if err != nil {
		return err
	}
	lanes := make([]streamdown.LaneID, s.partitions)
	for p := range lanes {
		tp := streamdown.TopicPartition{Topic: benchTopic, Partition: int32(p)} //nolint:gosec // a few
		if lanes[p], err = s.log.Lane(tp); err != nil {
			return err
		}
		if _, err := s.log.Append(delivery.BindingEntry(delivery.Binding{Lane: lanes[p], Cluster: view.ID, Topic: view.Topics[benchTopic].ID, PID: pid})); err != nil {
			return err
		}
	}
	said := make(chan error, 1)
	pipe, err := client.Dial(ctx, view.Topics[benchTopic].Partitions[0].Leader, 1, func(_ uint64, answers []sink.Answer, err error) {
		for i := range answers {
			if answers[i].Class != sink.OK {
				err = fmt.Errorf("partition %d: %s (%d) %s", i, answers[i].Class, answers[i].Code, answers[i].Message)
			}
		}
		said <- err
	})
	if err != nil {
		return err
	}
	defer pipe.Close()
	value := make([]byte, s.size)
	var b batch.Builder
	parcels := make([]sink.Parcel, s.partitions)
	for o := range streamdown.Ordinal(s.batches / s.partitions) {
		for p := range parcels {
			copy(value, fmt.Appendf(nil, "%d %d", p, o))
			b.Append(time.Now().UnixMilli(), nil, value)
			raw, err := b.Build(batch.None, batch.NoStamp)
			if err != nil {
				return err
			}
			s.log.Ready()
			if _, err := s.log.Append(&wal.Entry{Kind: wal.KindBatch, Lane: lanes[p], Ordinal: o, Count: 1, Body: raw}); err != nil {
				return err
			}
			parcels[p] = sink.Parcel{
				TopicPartition: streamdown.TopicPartition{Topic: benchTopic, Partition: int32(p)}, TopicID: view.Topics[benchTopic].ID, //nolint:gosec // a few
				Payload: append(parcels[p].Payload[:0], raw[batch.HeaderSize:]...),
			}
			batch.Restamp(&parcels[p].Header, raw, batch.Stamp{ProducerID: pid, BaseSequence: int32(o)}) //nolint:gosec // a million
		}
		if !pipe.Send(0, parcels) {
			return errors.Join(errors.New("the pipe takes nothing"), pipe.Err())
		}
		select {
		case err := <-said:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, l := range lanes {
		n := streamdown.Ordinal(s.batches / s.partitions)
		s.book.Confirm(l, n, streamdown.Offset(n))
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	return s.keeper.Flush(ctx)
}

// settle makes what was confirmed durable.
func (s *stocked) settle(ctx context.Context) error {
	e := s.book.ProgressEntry(s.log.Durable())
	if e == nil {
		return nil
	}
	if _, err := s.log.Append(e); err != nil {
		return err
	}
	return s.log.Wait(ctx, e.End())
}

// release lets the log forget what the ledger has, but for the newest segments.
func (s *stocked) release() error {
	n, err := s.log.Release(s.keeper.Floor())
	if err == nil && n == 0 {
		return errors.New("nothing was released: take more batches")
	}
	return err
}

// printCompared prints the medians, each with its processor time in proportion to that of reading the same topic and doing nothing.
func printCompared(w io.Writer, o *reconcileOptions, s *stocked, results map[string][]compared) {
	st := s.keeper.Stats()
	fmt.Fprintf(w, "%d batches of %d bytes in %d partitions; Kafka %s; the ledger has %.1f MB, %.1f bytes a batch\n\n",
		o.batches, o.size, o.partitions, realkafka.Version(), float64(st.Bytes)/1e6, float64(st.Bytes)/float64(o.batches))
	fmt.Fprintf(w, "%-10s %9s %9s %9s %14s %10s %10s %12s\n", "way", "seconds", "CPU s", "x plain", "batches/s", "topic MB", "read MB", "max RSS MB")
	median := func(way string) compared {
		list := results[way]
		slices.SortFunc(list, func(a, b compared) int {
			if a.Seconds < b.Seconds {
				return -1
			}
			return 1
		})
		return list[len(list)/2]
	}
	plain := median(waysPlain)
	for _, way := range []string{waysPlain, waysLog, waysLedger, waysReleased} {
		c := median(way)
		fmt.Fprintf(w, "%-10s %9.2f %9.2f %9.2f %14.0f %10.1f %10.1f %12.1f\n",
			way, c.Seconds, c.CPU, c.CPU/plain.CPU, float64(c.Batches)/c.Seconds, c.TopicMB, c.ReadMB, c.MaxRSSMB)
	}
}
