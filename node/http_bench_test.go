package node_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/node"
)

// BenchmarkDoors sends the same records through both doors of one node, one after the other: fsync on, acks: wal, so
// that the embedded broker behind is not what is measured. The figures hold the clients too, which share the machine.
// The ratios are those to the Kafka door of this run.
func BenchmarkDoors(b *testing.B) {
	c := cluster(b, b.TempDir())
	defer c.Close()
	cfg, findings := config.Parse("bench.yaml", fmt.Appendf(nil, `version: 1
listen: { kafka: { address: "127.0.0.1:0" }, http: { address: "127.0.0.1:0" } }
data: { dir: %q, scrub: off }
systems: { primary: { kafka: { bootstrap.servers: %q } } }
streams: [ { name: all, topics: ["*"], to: primary, acks: wal } ]
`, b.TempDir(), c.ListenAddrs()[0]), nil)
	if cfg == nil {
		b.Fatal(findings)
	}
	n, err := node.Open(node.Options{Config: cfg})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = n.Run(ctx) // what is left in the log does not matter
	}()
	defer func() { cancel(); <-ended }()
	waitTopic(b, "http://"+n.HTTPAddr())
	value := `{"id":123456,"text":"` + strings.Repeat("v", 76) + `"}` // 100 bytes
	for b.Loop() {
		kafka := throughKafka(b, n.KafkaAddr(), value)
		many := throughHTTP(b, n.HTTPAddr(), 4, 1000, bytes.Repeat([]byte(value+"\n"), 1000), "Content-Type", "application/x-ndjson")
		one := throughHTTP(b, n.HTTPAddr(), 64, 1, []byte(value), "Content-Type", "application/json", "ce-id", "1", "ce-type", "t", "ce-source", "/s", "ce-specversion", "1.0")
		b.ReportMetric(kafka, "kafka-records/s")
		b.ReportMetric(many, "ndjson-records/s")
		b.ReportMetric(many*float64(len(value))/1e6, "ndjson-MB/s")
		b.ReportMetric(one, "event-records/s")
		b.ReportMetric(many/kafka, "ndjson/kafka")
		b.ReportMetric(one/kafka, "event/kafka")
	}
}

// benchFor is how long each way is measured.
const benchFor = 4 * time.Second

func throughKafka(b *testing.B, addr, value string) float64 {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("orders"), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(20_000))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	var acked atomic.Int64
	began := time.Now()
	for time.Since(began) < benchFor {
		for range 100 {
			cl.Produce(b.Context(), &kgo.Record{Value: []byte(value)}, func(_ *kgo.Record, err error) {
				if err != nil {
					b.Error(err)
				}
				acked.Add(1)
			})
		}
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	return float64(acked.Load()) / time.Since(began).Seconds()
}

func throughHTTP(b *testing.B, addr string, clients, records int, body []byte, header ...string) float64 {
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	var acked atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range clients {
		wg.Go(func() {
			for time.Since(began) < benchFor {
				r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+addr+"/v1/topics/orders", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				for i := 0; i+1 < len(header); i += 2 {
					r.Header.Set(header[i], header[i+1])
				}
				resp, err := transport.RoundTrip(r)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body) // the status is what counts
				_ = resp.Body.Close()
				if resp.StatusCode/100 != 2 {
					b.Errorf("status %d", resp.StatusCode)
					return
				}
				acked.Add(int64(records))
			}
		})
	}
	wg.Wait()
	return float64(acked.Load()) / time.Since(began).Seconds()
}
