package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

func franz(c cell) (int, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c["bootstrap"]), kgo.DefaultProduceTopic(c["topic"]), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[c["codec"]]), kgo.ProducerLinger(20 * time.Millisecond),
	}
	if !c.is("idempotent") {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	t, err := c.tls()
	if err != nil {
		return 0, err
	}
	if t != nil {
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	login := scram.Auth{User: c["user"], Pass: c["password"]}
	switch c["mechanism"] {
	case "PLAIN":
		opts = append(opts, kgo.SASL(plain.Auth{User: c["user"], Pass: c["password"]}.AsMechanism()))
	case "SCRAM-SHA-256":
		opts = append(opts, kgo.SASL(login.AsSha256Mechanism()))
	case "SCRAM-SHA-512":
		opts = append(opts, kgo.SASL(login.AsSha512Mechanism()))
	case "OAUTHBEARER":
		opts = append(opts, kgo.SASL(oauth.Auth{Token: c["token"]}.AsMechanism()))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	return c.halves(func(records []record) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var out []*kgo.Record
		for _, r := range records {
			k := &kgo.Record{Partition: int32(r.partition), Key: r.key, Value: r.value}
			for _, h := range r.headers {
				k.Headers = append(k.Headers, kgo.RecordHeader{Key: h.name, Value: h.value})
			}
			out = append(out, k)
		}
		return cl.ProduceSync(ctx, out...).FirstErr()
	})
}
