package gateway

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/streamdown/streamdown/ingest"
)

// instant acks everything at once and keeps nothing, so that what is measured is the gateway.
type instant struct{ *memory }

func (instant) Produce(_ ingest.Request, done func(ingest.Result)) { done(ingest.Result{}) }

// BenchmarkProduce sends requests of one batch per partition over a loopback connection, 16 in flight. Bytes and
// allocations are those of the whole process: of the gateway, and of a client that allocates nothing.
func BenchmarkProduce(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 256 << 10, 1 << 20} {
		for _, partitions := range []int{1, 50} {
			if size*partitions > 8<<20 {
				continue
			}
			b.Run(fmt.Sprintf("batch=%dKiB/partitions=%d", size>>10, partitions), func(b *testing.B) {
				benchmarkProduce(b, size, partitions)
			})
		}
	}
}

func benchmarkProduce(b *testing.B, size, partitions int) {
	m := newMemory("t")
	s := serve(b, Config{}, instant{m}, m)
	q := produceOf(9, -1, "t")
	q.Topics = q.Topics[:1]
	for i := range int32(partitions) {
		one := produceOf(9, -1, "t", i).Topics[0].Partitions[0]
		one.Records = recordBatch(10, make([]byte, size-61))
		q.Topics[0].Partitions = append(q.Topics[0].Partitions, one)
	}
	request := frame(1, q)
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	answers := make(chan struct{}, 16) // in flight
	b.SetBytes(int64(len(request)))
	b.ReportAllocs()
	b.ResetTimer()
	ended := make(chan error, 1)
	go func() {
		r := bufio.NewReader(nc)
		for range b.N {
			head, err := r.Peek(4)
			if err == nil {
				_, err = r.Discard(4 + int(binary.BigEndian.Uint32(head)))
			}
			if err != nil && err != io.EOF {
				ended <- err
				return
			}
			<-answers
		}
		ended <- nil
	}()
	for range b.N {
		answers <- struct{}{}
		if _, err := nc.Write(request); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
