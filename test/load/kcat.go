package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/test/process"
)

// kcat is librdkafka: one process per partition, fed with a line per record.
//
// With -v -v -v it prints a line per delivered record, which names partition and offset and not the record. One
// process has one partition, so the n-th line is taken for the ack of the n-th record. With idempotence it is. Without,
// librdkafka lets later records overtake those that it sends again (seen with 2.0.2 and one request in flight), so the
// number of acks is right at any time and which records they are only at the end.
//
// kcat looks for deliveries only between two records that it reads, and reads 4 KiB at a time, so acks come late and
// the last ones at the end of the input. Exit code 0 means that nothing failed.
type kcat struct {
	spec  Spec
	tally *tally
	parts []*kcatPartition
	buf   []byte
}

type kcatPartition struct {
	proc      *process.Process
	partition int32
	log       *os.File // what kcat prints besides deliveries
	// The following are owned by the goroutine that takes the lines.
	delivered uint64
	failed    uint64
}

var (
	kcatDelivered = []byte("% Message delivered to partition ")
	kcatFailed    = []byte("% Delivery failed for message: ")
)

func startKcat(s Spec, t *tally) (sender, error) {
	k := &kcat{spec: s, tally: t}
	for p := range s.Partitions {
		if err := k.startPartition(p); err != nil {
			k.abort()
			return nil, err
		}
	}
	return k, nil
}

func (k *kcat) startPartition(partition int32) error {
	s := &k.spec
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.Dir, fmt.Sprintf("kcat-%d.log", partition)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	kp := &kcatPartition{partition: partition, log: log}
	kp.proc, err = process.Start(process.Options{
		Path: "kcat",
		Args: []string{
			"-P", "-b", s.Bootstrap, "-t", s.Topic, "-p", fmt.Sprint(partition), "-z", s.Compression,
			"-E", // without it kcat ends itself when all brokers are down
			"-v", "-v", "-v",
			"-X", fmt.Sprintf("enable.idempotence=%t", s.Idempotent),
			"-X", "acks=" + s.Acks,
			"-X", fmt.Sprintf("max.in.flight=%d", s.InFlight),
			"-X", "message.timeout.ms=0", // none
			"-X", "reconnect.backoff.max.ms=500",
		},
		Log: log.Name(), Stdin: true, Stderr: func(line []byte) { k.line(kp, line) },
	})
	if err != nil {
		return errors.Join(fmt.Errorf("%w; install kcat (Debian: apt-get install kcat)", err), log.Close())
	}
	k.parts = append(k.parts, kp)
	return nil
}

func (k *kcat) line(kp *kcatPartition, line []byte) {
	switch {
	case bytes.HasPrefix(line, kcatDelivered):
		// After a failure it is open which record a delivery belongs to.
		if kp.failed == 0 {
			k.tally.acked(kp.partition, kp.delivered)
		}
		kp.delivered++
	case bytes.HasPrefix(line, kcatFailed):
		kp.failed++
		k.tally.failed(kp.partition, string(line[len(kcatFailed):]))
	default:
		_, _ = fmt.Fprintf(kp.log, "%s %s\n", time.Now().Format("15:04:05.000"), line)
	}
}

func (k *kcat) grant(ctx context.Context, partition int32, from, to uint64) error {
	k.buf = k.buf[:0]
	for seq := from; seq < to; seq++ {
		k.buf = append(check.AppendRecord(k.buf, k.spec.record(partition, seq)), '\n')
	}
	p := k.parts[partition].proc
	if _, err := p.Stdin.Write(k.buf); err != nil {
		return errors.Join(fmt.Errorf("feed kcat: %w", err), p.Wait(ctx))
	}
	return nil
}

func (k *kcat) finish(ctx context.Context) error {
	var errs []error
	for _, kp := range k.parts {
		errs = append(errs, kp.proc.Stdin.Close())
	}
	for _, kp := range k.parts {
		errs = append(errs, kp.proc.Wait(ctx))
	}
	return errors.Join(errs...)
}

func (k *kcat) abort() {
	for _, kp := range k.parts {
		_ = kp.proc.Kill()
		_ = kp.log.Close()
	}
}
