package handover

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/test/load"
	"github.com/streamdown/streamdown/test/process"
)

// BuildSarama builds the load of the module below into dir.
func BuildSarama(ctx context.Context, dir string) (string, error) {
	file := filepath.Join(dir, "sarama")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, ".")
	cmd.Dir = "sarama"
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the Sarama load: %w\n%s", err, out)
	}
	return file, nil
}

// Sarama sends through Sarama until stop is closed, and waits until every record was answered.
type Sarama struct {
	Binary, Log      string
	Bootstrap, Topic string
	Partitions       int32
	Producer         uint32
	Args             []string // more flags of the load
	Every            time.Duration
	Journal          load.Journal
	GaveUp           func() // is told of each record that Sarama gave up on; nil is fine
}

// Run returns what Sarama said.
func (s Sarama) Run(ctx context.Context, stop <-chan struct{}) (r load.Result, err error) {
	var mu sync.Mutex // guards r
	answered := func(line []byte) {
		f := strings.SplitN(string(line), " ", 4)
		if len(f) < 3 {
			return
		}
		p, _ := strconv.ParseUint(f[1], 10, 32)
		seq, _ := strconv.ParseUint(f[2], 10, 64)
		mu.Lock()
		defer mu.Unlock()
		if f[0] == "acked" {
			s.Journal.Acked(s.stream(uint32(p)), seq)
			r.Acked++
			return
		}
		r.Failed++
		if s.GaveUp != nil {
			s.GaveUp()
		}
		if r.FirstFailure == "" {
			r.FirstFailure = string(line)
		}
	}
	args := append([]string{"-bootstrap", s.Bootstrap, "-topic", s.Topic}, s.Args...)
	p, err := process.Start(process.Options{Path: s.Binary, Args: args, Log: s.Log, Stdin: true, Stdout: answered})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.Kill()) }()
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for seq := uint64(0); ; seq++ {
		select {
		case <-stop:
			if err := p.Stdin.Close(); err != nil {
				return r, err
			}
			err := p.Wait(ctx)
			mu.Lock()
			defer mu.Unlock()
			return r, err
		case <-ctx.Done():
			return r, ctx.Err()
		case <-p.Done():
			return r, p.Err()
		case <-tick.C:
		}
		for partition := range s.Partitions {
			record := check.AppendRecord(nil, check.Record{
				Producer: s.Producer + uint32(partition), Incarnation: 1, Seq: seq, SentMicros: time.Now().UnixMicro(), Size: 200,
				Target: check.TargetOf(streamdown.TopicPartition{Topic: s.Topic, Partition: partition}),
			})
			s.Journal.Sent(s.stream(uint32(partition)), seq)
			mu.Lock()
			r.Sent++
			mu.Unlock()
			if _, err := fmt.Fprintf(p.Stdin, "%d %d %s\n", partition, seq, hex.EncodeToString(record)); err != nil {
				return r, err
			}
		}
	}
}

func (s Sarama) stream(partition uint32) check.Stream {
	return check.Stream{Producer: s.Producer + partition, Incarnation: 1}
}
