package wal_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// TestALyingDiskInventsNothing crashes disks whose syncs report success and do nothing now and then. What they lose is
// lost; but what is left is what was written, the log opens or says why not, and it goes on.
func TestALyingDiskInventsNothing(t *testing.T) {
	runs := uint64(150)
	if *simCrashes > 0 {
		runs = 5000
	}
	synctest.Test(t, func(t *testing.T) {
		opened, refused, damaged := 0, 0, 0
		for seed := range runs {
			rng := rand.New(rand.NewPCG(seed, 9))
			lies := rand.New(rand.NewPCG(seed, 10)) // the disk's lock guards it
			disk := vfs.NewMem()
			written := map[int64]wal.Entry{} // by arrival, which no two share
			serial := int64(0)
			for range 5 {
				l, rec, err := wal.Open(wal.Config{FS: disk, Dir: "/d", SegmentSize: int64(rng.IntN(1500))})
				if err != nil {
					if refused++; seed%8 == 0 {
						t.Logf("seed %d: %v", seed, err)
					}
					break
				}
				opened++
				damaged += len(rec.Damage)
				c := wal.Chunk{Buf: make([]byte, 8<<10)}
				for at := streamdown.LSN(64); at < l.Durable(); at = c.Next {
					_ = l.Read(&c, at) // damage
					if c.Next <= at {
						t.Fatalf("seed %d: reading does not go on at %d", seed, at)
					}
					for i := range c.Entries {
						e := &c.Entries[i]
						w := written[e.Arrival]
						if s := (sent{Entry: w}); e.Kind != wal.KindMark && !s.is(e) {
							t.Fatalf("seed %d: entry %d at %d was never written", seed, e.Arrival, e.LSN)
						}
					}
				}
				disk.Inject(func(op vfs.Op, _ string) error {
					if (op == vfs.OpSync || op == vfs.OpSyncDir) && lies.IntN(4) == 0 {
						return vfs.Fault{}
					}
					return nil
				})
				for range rng.IntN(20) {
					serial++
					e := wal.Entry{Kind: wal.KindTopic, Arrival: serial, Body: bodies().noise[rng.IntN(24)]}
					if _, err := l.Append(&e); err != nil {
						t.Fatal(err)
					}
					written[serial] = e
					synctest.Wait()
					if rng.IntN(6) == 0 {
						time.Sleep(1100 * time.Millisecond)
					}
				}
				left := disk.Crash(rng)
				disk.Halt()
				_ = l.Close()
				disk = left
			}
		}
		t.Logf("%d opened with %d damaged ranges, %d refused", opened, damaged, refused)
		if opened == 0 || damaged == 0 {
			t.Error("nothing was ever lost: the disks did not lie")
		}
	})
}
