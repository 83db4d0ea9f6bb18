package gateway

import (
	"testing"
)

// TestZstdNeedsProduceVersion7 is Kafka's rule (KIP-110): consumers of that age could not read it.
func TestZstdNeedsProduceVersion7(t *testing.T) {
	m := newMemory("t")
	m.add("t", 1)
	s := serve(t, Config{}, m, m)
	for version, want := range map[int16]int16{6: codeUnsupportedCompression, 7: 0} {
		req := produceOf(version, -1, "t", 0)
		req.Topics[0].Partitions[0].Records[22] = 4 // the fake does not check the CRC
		resp := produced(version)
		dial(t, s.addr).ask(req, resp)
		if got := resp.Topics[0].Partitions[0].ErrorCode; got != want {
			t.Errorf("zstd in produce v%d: code %d, want %d", version, got, want)
		}
	}
}
