package main

import (
	"time"

	"github.com/IBM/sarama"
)

func viaSarama(c cell) (int, error) {
	codecs := map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	}
	conf := sarama.NewConfig()
	conf.Producer.Compression = codecs[c["codec"]]
	conf.Producer.RequiredAcks = sarama.WaitForAll
	conf.Producer.Partitioner = sarama.NewManualPartitioner
	conf.Producer.Flush.Frequency = 20 * time.Millisecond
	conf.Producer.Return.Successes = true
	if c.is("idempotent") {
		conf.Producer.Idempotent, conf.Net.MaxOpenRequests = true, 1
	}
	t, err := c.tls()
	if err != nil {
		return 0, err
	}
	conf.Net.TLS.Enable, conf.Net.TLS.Config = t != nil, t
	if m := c["mechanism"]; m != "" {
		conf.Net.SASL.Enable, conf.Net.SASL.Mechanism = true, sarama.SASLMechanism(m)
		conf.Net.SASL.User, conf.Net.SASL.Password = c["user"], c["password"]
		conf.Net.SASL.TokenProvider = token(c["token"])
		conf.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{mechanism: m} }
	}
	producer, err := sarama.NewSyncProducer([]string{c["bootstrap"]}, conf)
	if err != nil {
		return 0, err
	}
	defer producer.Close()
	return c.halves(func(records []record) error {
		var out []*sarama.ProducerMessage
		for _, r := range records {
			m := &sarama.ProducerMessage{Topic: c["topic"], Partition: int32(r.partition)}
			if r.key != nil {
				m.Key = sarama.ByteEncoder(r.key)
			}
			if r.value != nil {
				m.Value = sarama.ByteEncoder(r.value)
			}
			for _, h := range r.headers {
				m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.name), Value: h.value})
			}
			out = append(out, m)
		}
		return producer.SendMessages(out)
	})
}

// token is a token for Sarama.
type token string

func (t token) Token() (*sarama.AccessToken, error) {
	return &sarama.AccessToken{Token: string(t)}, nil
}
