package ingest_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/ingest"
	"github.com/streamdown/streamdown/vfs"
)

func TestTheLowestClassStopsFirstWhenSpaceEnds(t *testing.T) {
	h := newHouse(t, vfs.NewMem(), 0)
	defer h.close()
	left := int64(-1)
	h.room = func() (int64, int64) { return left, 1000 }
	seq := int32(0)
	for _, c := range []struct {
		name  string
		left  int64
		above int
		taken bool
	}{
		{"not known", -1, 3, true},
		{"enough for all", 90, 3, true},
		{"too little for the lowest", 89, 3, false},
		{"enough for the next", 89, 2, true},
		{"too little for the second", 29, 1, false},
		{"the highest takes what there is", 1, 0, true},
	} {
		left, h.policy.Above = c.left, c.above
		h.tick() // the figure is a moment old
		r := h.produce("orders", records(t, batch.NoProducerID, -1, -1, "v"))()
		if taken := r.Code == 0; taken != c.taken || !taken && r.Code != kerr.KafkaStorageError.Code {
			t.Errorf("%s: code %d %q", c.name, r.Code, r.Message)
		}
	}
	left, h.policy.Above = 500, 3
	h.tick()
	again := records(t, 7, 0, seq, "v")
	if r := h.produce("orders", again)(); r.Code != 0 {
		t.Fatalf("code %d", r.Code)
	}
	left = 1
	h.tick()
	if r := h.produce("orders", again)(); r.Code != 0 || r.Close {
		t.Errorf("a retry of what is stored needs no room: %+v", r)
	}
	if r := h.produce("orders", records(t, 7, 0, seq+1, "v"))(); !r.Close {
		t.Errorf("an idempotent producer of the lowest class: %+v, want its connection closed", r)
	}
}

// A process that is told to end while replies are held does not let everybody wait for them.
func TestHeldRepliesEndWithTheProcess(t *testing.T) {
	h := newHouse(t, vfs.NewMem(), 0)
	defer h.close()
	h.in = ingest.New(ingest.Config{
		Confirmations: h.book, HoldFor: time.Hour, Room: func() (int64, int64) { return 0, 1000 },
		Policy:  func(string) (ingest.Policy, bool) { return ingest.Policy{Above: 1}, true },
		Cluster: h.cluster,
	})
	h.in.Attach(h.log)
	got := make(chan ingest.Result, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		got <- h.produce("orders", records(t, 7, 0, 0, "v"))()
	}()
	for h.in.Stats().Held == 0 {
		runtime.Gosched()
	}
	h.in.HoldNoMore()
	<-done
	if r := <-got; !r.Close {
		t.Errorf("%+v, want the connection closed", r)
	}
}
