//go:build real

package broker_test

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/streamdown/streamdown/test/realkafka"
)

// TestContractWithKafka has a real Kafka answer the same script. Its answers are testdata/contract.txt, which the broker
// of this package is compared with in TestContract.
func TestContractWithKafka(t *testing.T) {
	k, err := realkafka.Start(t.Context(), realkafka.Options{Dir: t.TempDir(), Properties: map[string]string{
		"producer.id.expiration.ms": "3600000", "producer.id.expiration.check.interval.ms": "200", "num.partitions": "3",
		"auto.create.topics.enable": "false",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Kill() })
	nc, err := net.Dial("tcp", k.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	t.Logf("Kafka %s", k.Version)
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	got := script(c, func(partition int32) { // the tick is 200 ms
		for {
			if _, list := c.producers("script", partition); len(list) == 1 {
				return
			}
		}
	})
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(got, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, got)
}
