package node_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/streamdown/streamdown/api"
)

// scrubbed waits until the log was checked once.
func scrubbed(t *testing.T, n *running) *api.Scrub {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		sc := n.Status(ctx).Log.Scrub
		if sc != nil && sc.WholeAt != nil {
			return sc
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not checked: %+v", sc)
		}
	}
}

// TestRotIsKnownBeforeTheDataIsNeeded stops a process, damages its log, and lets the next one find that by itself.
func TestRotIsKnownBeforeTheDataIsNeeded(t *testing.T) {
	dir := t.TempDir()
	c := cluster(t, t.TempDir())
	defer c.Close()
	n := start(t, dir, c.ListenAddrs()[0])
	if sc := n.Status(t.Context()).Log.Scrub; sc == nil || sc.BytesPerSecond != 8<<20 {
		t.Errorf("%+v", sc)
	}
	produce(t, n.KafkaAddr(), 0, 1000)
	n.stop(t)
	n = start(t, dir, c.ListenAddrs()[0])
	if sc := scrubbed(t, n); sc.Ranges != 0 || sc.CheckedBytes == 0 || sc.Way == "" {
		t.Errorf("%+v", sc)
	}
	n.stop(t)

	segments, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	slices.Sort(segments)
	f, err := os.OpenFile(segments[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], st.Size()/2); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b[:], st.Size()/2); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	n = start(t, dir, c.ListenAddrs()[0])
	sc := scrubbed(t, n)
	if len(sc.Damage) != 1 || sc.Ranges != 1 || sc.Damage[0].FromByte > st.Size()/2 || sc.Damage[0].ToByte <= st.Size()/2 || !sc.Damage[0].Confirmed {
		t.Errorf("%+v", sc)
	}
	if !n.logs.has("rot in the log, in records that are confirmed at the target") {
		t.Error("it is not in the journal")
	}
	n.stop(t)
}
