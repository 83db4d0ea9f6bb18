package broker_test

import (
	"context"
	"flag"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streamdown/streamdown/test/broker"
	"github.com/streamdown/streamdown/test/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write testdata/contract.txt anew, from the real Kafka where there is one")

const golden = "testdata/contract.txt"

// cluster is one on a network in memory.
func cluster(t testing.TB, brokers int, cfg broker.Config) (*broker.Cluster, func(node int32) *client) {
	t.Helper()
	var n memnet.Net
	var listeners []net.Listener
	for range brokers {
		l, err := n.Host("kafka").Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
	}
	addr := func(node int32) string { return listeners[node].Addr().String() }
	c := broker.New(cfg, listeners...)
	t.Cleanup(c.Close)
	return c, func(node int32) *client {
		nc, err := n.Host("client").Dial(context.Background(), "tcp", addr(node))
		if err != nil {
			t.Fatal(err)
		}
		return newClient(t, nc)
	}
}

// TestContract compares the answers with what the real Kafka said, which TestContractWithKafka wrote down and compares
// again with the real one.
func TestContract(t *testing.T) {
	c, dial := cluster(t, 1, broker.Config{ProducerExpiry: time.Hour})
	got := script(dial(0), func(int32) { c.Expire() })
	// G7 is broken by the script on purpose, once.
	if broken := c.Broken(); len(broken) == 0 || !strings.Contains(strings.Join(broken, "\n"), "G7") {
		t.Errorf("other bytes under the same sequences were not noticed: %q", broken)
	}
	compare(t, got)
}

func compare(t *testing.T, got []string) {
	t.Helper()
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	step := ""
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("the answers end before %q", want[i])
		case i >= len(want):
			t.Fatalf("more answers than Kafka gave: %q", got[i])
		case strings.HasPrefix(want[i], "- "):
			step = want[i]
		}
		if got[i] != want[i] {
			t.Errorf("%s\n  got  %s\n  want %s", step, got[i], want[i])
		}
	}
}
