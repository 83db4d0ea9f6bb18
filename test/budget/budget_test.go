package budget

import (
	"testing"
	"time"
)

// failed notes whether a budget was passed.
type failed struct {
	testing.TB
	yes bool
}

func (f *failed) Errorf(string, ...any) { f.yes = true }

var sink []byte

func TestWhatCostsTooMuchIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		f    func()
		seen bool
	}{
		"nothing":         {func() {}, false},
		"a little memory": {func() { sink = make([]byte, 4<<10) }, false},
		"much memory":     {func() { sink = make([]byte, Constant+Factor*100+8<<10) }, true},
		"much time": {func() {
			for began := clock(); clock()-began < 2*Time; {
			}
		}, true},
		"waiting costs nothing": {func() { <-time.After(2 * Time) }, false},
	} {
		f := &failed{TB: t}
		Check(f, 100, c.f)
		if f.yes != c.seen {
			t.Errorf("%s: seen %t, want %t", name, f.yes, c.seen)
		}
	}
}
