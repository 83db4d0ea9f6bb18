//go:build real

package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// TestScrubFindsRotBehindThePageCache changes bytes in the image of a mounted disk, below entries that are in the page
// cache: reading finds nothing wrong, the scrub does, exactly there. Where the page cache cannot be passed by, it says so.
func TestScrubFindsRotBehindThePageCache(t *testing.T) {
	for _, c := range []struct {
		kind, options string
		way           vfs.Way
	}{{"ext4", "", vfs.WayDirect}, {"xfs", "", vfs.WayDirect}, {"ext4", "data=journal", vfs.WayEvict}} {
		t.Run(c.kind+c.options, func(t *testing.T) {
			d := newDrive(t, c.kind, 320)
			if c.options != "" {
				if err := unix.Unmount(d.dir, 0); err != nil {
					t.Fatal(err)
				}
				if err := unix.Mount(d.loop, d.dir, d.kind, 0, c.options); err != nil {
					t.Skipf("mount with %s: %v", c.options, err)
				}
			}
			l, _, err := wal.Open(wal.Config{Dir: d.dir, SegmentSize: 64 << 10})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}()
			var places []wal.Entry
			for i := range 40 {
				e := &wal.Entry{Kind: wal.KindTopic, Body: bytes.Repeat(fmt.Appendf(nil, "|%s entry %04d|", t.Name(), i), 200)}
				if _, err := l.Append(e); err != nil {
					t.Fatal(err)
				}
				if err := l.Wait(t.Context(), e.End()); err != nil {
					t.Fatal(err)
				}
				if i == 3 || i == 17 {
					places = append(places, *e)
				}
			}
			s := wal.NewScrubber(l, wal.ScrubConfig{Rate: -1})
			if _, err := s.Pass(t.Context()); err != nil || s.Stats().Ranges != 0 || s.Stats().Way != c.way {
				t.Fatalf("a healthy disk: %v, %+v", err, s.Stats())
			}
			if damaged := readAll(t, l); len(damaged) != 0 {
				t.Fatalf("a healthy disk: %v", damaged)
			}
			var want []streamdown.LSN
			for i := range places {
				d.rot(t, places[i].Body)
				want = append(want, places[i].LSN)
			}
			if damaged := readAll(t, l); len(damaged) != 0 {
				t.Fatalf("the entries were not in the page cache: %v", damaged)
			}
			if _, err := s.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got []streamdown.LSN
			for _, x := range s.Stats().Damage {
				got = append(got, x.FromLSN)
			}
			if c.way != vfs.WayDirect {
				if len(got) != 0 {
					t.Errorf("way %s found %v, which it cannot", c.way, got)
				}
				return
			}
			if !slices.Equal(got, want) {
				t.Errorf("found damage at %v, want %v", got, want)
			}
		})
	}
}

// rot changes a byte of the image where it has body.
func (d *drive) rot(t *testing.T, body []byte) {
	t.Helper()
	image, err := os.ReadFile(d.image)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(image, body[:512])
	if at < 0 {
		t.Fatal("the entry is not in the image")
	}
	f, err := os.OpenFile(d.image, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{^image[at+100]}, int64(at+100)); err != nil {
		t.Fatal(err)
	}
}

// readAll reads the log as the forwarder does.
func readAll(t *testing.T, l *wal.Log) (damaged []streamdown.LSN) {
	t.Helper()
	var c wal.Chunk
	for at := l.Stats().First; at < l.Durable(); at = c.Next {
		err := l.Read(&c, at)
		var bad *wal.CorruptError
		if errors.As(err, &bad) {
			damaged = append(damaged, bad.From)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return damaged
}
