package wal_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// lines keeps what was logged.
type lines struct {
	mu   sync.Mutex // guards the following
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// inBubble runs a test on a log with about 7 MB sealed, with a clock of its own.
func inBubble(t *testing.T, f func(t *testing.T, l *wal.Log, fs *vfs.Mem, b *bed)) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		b := &bed{FS: fs, platter: fs}
		l, _, err := wal.Open(wal.Config{FS: b, Dir: "/d", SegmentSize: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for range 70 {
			if err := l.Wait(t.Context(), appendBody(t, l, make([]byte, 100_000))); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second) // nothing is under way any more
		f(t, l, fs, b)
		fs.Slow(nil)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestScrubKeepsItsRate(t *testing.T) {
	for _, rate := range []int64{0, 1 << 20} {
		inBubble(t, func(t *testing.T, l *wal.Log, _ *vfs.Mem, _ *bed) {
			s := wal.NewScrubber(l, wal.ScrubConfig{Rate: rate})
			began := time.Now()
			n, err := s.Pass(t.Context())
			if err != nil || n < 5<<20 {
				t.Fatal(n, err)
			}
			per := float64(n) / time.Since(began).Seconds()
			want := float64(rate)
			if rate == 0 {
				want = 8 << 20
			}
			if per > want*1.1 || per < want*0.8 {
				t.Errorf("%.0f bytes/s, want %.0f", per, want)
			}
		})
	}
}

func TestScrubTakesAFifthOfASlowDisk(t *testing.T) {
	inBubble(t, func(t *testing.T, l *wal.Log, fs *vfs.Mem, _ *bed) {
		var reading time.Duration
		fs.Slow(func(op vfs.Op, _ string) {
			if op == vfs.OpRead {
				reading += 300 * time.Millisecond
				time.Sleep(300 * time.Millisecond)
			}
		})
		began := time.Now()
		pass(t, wal.NewScrubber(l, wal.ScrubConfig{}))
		if all := time.Since(began); reading > all/4 || reading < all/6 {
			t.Errorf("it read for %s of %s", reading, all)
		}
	})
}

// TestScrubLetsProducersGoFirst slows syncs down while something is appended all the time.
func TestScrubLetsProducersGoFirst(t *testing.T) {
	for sync, want := range map[time.Duration]struct{ least, most time.Duration }{
		time.Millisecond: {0, 10 * time.Second},
		// A piece goes after 10 s at the latest, so that a disk that is always slow is checked too.
		500 * time.Millisecond: {3 * time.Minute, 6 * time.Minute},
	} {
		inBubble(t, func(t *testing.T, l *wal.Log, fs *vfs.Mem, _ *bed) {
			fs.Slow(func(op vfs.Op, _ string) {
				if op == vfs.OpSync {
					time.Sleep(sync)
				}
			})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for ctx.Err() == nil {
					appendBody(t, l, []byte("x"))
					time.Sleep(sync / 7)
				}
			}()
			synctest.Wait()
			began := time.Now()
			if _, err := wal.NewScrubber(l, wal.ScrubConfig{Rate: 1 << 20}).Pass(t.Context()); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took < want.least || took > want.most {
				t.Errorf("with syncs of %s a pass took %s", sync, took)
			}
			cancel()
			<-done
		})
	}
}

// TestScrubStartsAgain has rot come after the first pass, and the log closed before the context ends, or after.
func TestScrubStartsAgain(t *testing.T) {
	for _, closeFirst := range []bool{false, true} {
		inBubble(t, func(t *testing.T, l *wal.Log, fs *vfs.Mem, _ *bed) {
			s := wal.NewScrubber(l, wal.ScrubConfig{Interval: time.Hour})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- s.Run(ctx) }()
			time.Sleep(time.Minute)
			if st := s.Stats(); st.Passes != 1 || st.Ranges != 0 || !st.Began.IsZero() {
				t.Errorf("%+v", st)
			}
			fs.Flip(filepath.Join("/d", segmentNames(t, fs)[2]), 8*5000)
			time.Sleep(50 * time.Minute)
			if st := s.Stats(); st.Passes != 1 || st.Ranges != 0 {
				t.Errorf("before the interval was over: %+v", st)
			}
			time.Sleep(10 * time.Minute)
			if st := s.Stats(); st.Passes != 2 || st.Ranges != 1 {
				t.Errorf("%+v", st)
			}
			if closeFirst {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				cancel()
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			cancel()
		})
	}
}

func TestNothingSealedIsNotChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		l, _, err := wal.Open(wal.Config{FS: fs, Dir: "/d", SegmentSize: 1000})
		if err != nil {
			t.Fatal(err)
		}
		s := wal.NewScrubber(l, wal.ScrubConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(10 * time.Second)
		if st := s.Stats(); st.Passes != 0 || !st.WholeAt.IsZero() || st.Bytes != 0 {
			t.Errorf("nothing is sealed: %+v", st)
		}
		for range 5 {
			if err := l.Wait(ctx, appendBody(t, l, make([]byte, 600))); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		if st := s.Stats(); st.Passes != 1 || st.Bytes == 0 || st.Way != vfs.WayCached {
			t.Errorf("it looks again soon: %+v", st)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAStoppedPassIsNotWhole stops one in the middle.
func TestAStoppedPassIsNotWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, l *wal.Log, _ *vfs.Mem, _ *bed) {
		s := wal.NewScrubber(l, wal.ScrubConfig{Rate: 100_000})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		n, err := s.Pass(ctx)
		if st := s.Stats(); err == nil || n == 0 || st.Passes != 0 || !st.WholeAt.IsZero() || st.Trouble == "" {
			t.Errorf("%d, %v: %+v", n, err, st)
		}
	})
}
