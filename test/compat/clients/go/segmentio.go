package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

func segmentio(c cell) (int, error) {
	if c.is("idempotent") {
		return 0, fmt.Errorf("%wno idempotence", errLacks)
	}
	transport := &kafka.Transport{}
	var err error
	if transport.TLS, err = c.tls(); err != nil {
		return 0, err
	}
	switch c["mechanism"] {
	case "PLAIN":
		transport.SASL = plain.Mechanism{Username: c["user"], Password: c["password"]}
	case "SCRAM-SHA-256":
		transport.SASL, err = scram.Mechanism(scram.SHA256, c["user"], c["password"])
	case "SCRAM-SHA-512":
		transport.SASL, err = scram.Mechanism(scram.SHA512, c["user"], c["password"])
	case "OAUTHBEARER":
		err = fmt.Errorf("%wno OAUTHBEARER", errLacks)
	}
	if err != nil {
		return 0, err
	}
	codecs := map[string]kafka.Compression{"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}
	w := &kafka.Writer{
		Addr: kafka.TCP(c["bootstrap"]), Topic: c["topic"], RequiredAcks: kafka.RequireAll, Compression: codecs[c["codec"]],
		BatchTimeout: 20 * time.Millisecond, Transport: transport, Balancer: kafka.BalancerFunc(byHeader),
	}
	defer w.Close()
	return c.halves(func(records []record) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var out []kafka.Message
		for _, r := range records {
			m := kafka.Message{Key: r.key, Value: r.value}
			for _, h := range r.headers {
				m.Headers = append(m.Headers, kafka.Header{Key: h.name, Value: h.value})
			}
			out = append(out, m)
		}
		return w.WriteMessages(ctx, out...)
	})
}

// byHeader finds the partition in the header a, "partition-number".
func byHeader(m kafka.Message, partitions ...int) int {
	first, _, _ := strings.Cut(string(m.Headers[0].Value), "-")
	p, _ := strconv.Atoi(first)
	return p
}
