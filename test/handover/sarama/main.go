// Command sarama sends what it is told through Sarama with the settings that Sarama has by default.
//
// Each line of its input is "partition number value", the value in hexadecimal. For each it prints "acked partition
// number" or "failed partition number why", in the order in which Sarama said so. -idempotent sets what Sarama wants for
// that, -retries another Producer.Retry.Max; nothing else is set but that successes are told and partitions are kept.
//
// It is a module of its own: what streamdown is made of must not grow by what it is tried with.
//
// Stability: may change.
package main

import (
	"bufio"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/IBM/sarama"
)

func main() {
	bootstrap := flag.String("bootstrap", "", "host:port")
	topic := flag.String("topic", "", "topic")
	idempotent := flag.Bool("idempotent", false, "as an idempotent producer")
	retries := flag.Int("retries", -1, "Producer.Retry.Max, -1 = Sarama's default")
	acks := flag.Int("acks", 2, "Producer.RequiredAcks, 2 = Sarama's default")
	flag.Parse()
	if err := run(*bootstrap, *topic, *idempotent, *retries, *acks); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type number struct{ partition, seq string }

func run(bootstrap, topic string, idempotent bool, retries, acks int) error {
	c := sarama.NewConfig()
	c.Producer.Return.Successes = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	if idempotent {
		c.Producer.Idempotent, c.Producer.RequiredAcks, c.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
	}
	if retries >= 0 {
		c.Producer.Retry.Max = retries
	}
	if acks != 2 {
		c.Producer.RequiredAcks = sarama.RequiredAcks(acks)
	}
	p, err := sarama.NewAsyncProducer([]string{bootstrap}, c)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	var mu sync.Mutex // guards out
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, format, args...)
		_ = out.Flush() // whoever reads it is gone otherwise, and kills us
	}
	var hearing sync.WaitGroup
	hearing.Go(func() {
		for m := range p.Successes() {
			n := m.Metadata.(number)
			say("acked %s %s\n", n.partition, n.seq)
		}
	})
	hearing.Go(func() {
		for e := range p.Errors() {
			n := e.Msg.Metadata.(number)
			say("failed %s %s %v\n", n.partition, n.seq, strings.ReplaceAll(e.Err.Error(), "\n", " "))
		}
	})
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		f := strings.Fields(in.Text())
		if len(f) != 3 {
			return fmt.Errorf("line %q is not partition, number and value", in.Text())
		}
		value, err := hex.DecodeString(f[2])
		if err != nil {
			return err
		}
		var partition int32
		if _, err := fmt.Sscan(f[0], &partition); err != nil {
			return err
		}
		p.Input() <- &sarama.ProducerMessage{Topic: topic, Partition: partition, Value: sarama.ByteEncoder(value), Metadata: number{f[0], f[1]}}
	}
	p.AsyncClose()
	hearing.Wait()
	return in.Err()
}
