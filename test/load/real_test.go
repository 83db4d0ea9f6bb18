//go:build real

package load_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/test/load"
	"github.com/streamdown/streamdown/test/reader"
	"github.com/streamdown/streamdown/test/realkafka"
)

// Without faults every client delivers each record once and in order, idempotent or not, straight to Kafka: so a
// verdict of the rescue test is about what it breaks and what stands between.
func TestEveryClientDeliversEachRecordOnce(t *testing.T) {
	dir := t.TempDir()
	b, err := realkafka.Start(t.Context(), realkafka.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Kill() })
	for _, client := range []load.Client{load.Java, load.Kcat, load.Franz} {
		for i, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
			idempotent := i%2 == 0
			t.Run(fmt.Sprintf("%s/%s/idempotent=%t", client, codec, idempotent), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				topic := fmt.Sprintf("%s-%s", client, codec)
				if err := b.CreateTopic(ctx, topic, partitions, nil); err != nil {
					t.Fatal(err)
				}
				checker := check.New(check.Config{MinAcked: 10_000, MinShare: 1})
				r, err := reader.Open(b.Addr(), topic, partitions, checker)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				result, err := load.Run(ctx, load.Spec{
					Client: client, Bootstrap: b.Addr(), Topic: topic, Partitions: partitions,
					Producer: 7, Incarnation: rand.Uint32(), Idempotent: idempotent, Compression: codec,
					Records: 5000, Dir: t.TempDir(), Classpath: b.Classpath(), Journal: checker,
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := r.CatchUp(ctx); err != nil {
					t.Fatal(err)
				}
				// A client sends a batch as it is when compression would not make it smaller: a few of one record.
				if n := r.Codecs()[i]; n < 9_000 {
					t.Errorf("%d of 10000 records are in %s batches: %v", n, codec, r.Codecs())
				}
				report := checker.Final()
				t.Logf("%d records in %v: %v", result.Sent, result.Elapsed.Round(time.Millisecond), report)
				if report.Exit() != check.ExitOK || result.Failed != 0 {
					t.Errorf("%+v\n%+v", result, report)
				}
			})
		}
	}
	u, _ := b.Usage()
	fmt.Fprintf(os.Stderr, "broker: %d MiB resident, %v processor time\n", u.ResidentBytes>>20, u.CPU)
}
