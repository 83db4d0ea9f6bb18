package ui

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// screen is the terminal of the tests: it understands what a View sends, and nothing else.
type screen struct {
	lines    [][]rune
	row, col int
}

func (s *screen) Write(b []byte) (int, error) {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		i += n
		for s.row >= len(s.lines) {
			s.lines = append(s.lines, nil)
		}
		switch r {
		case '\n':
			s.row, s.col = s.row+1, 0
		case '\r':
			s.col = 0
		case '\x1b':
			end := i + bytes.IndexAny(b[i:], "AKJm")
			arg := 0
			fmt.Sscanf(string(b[i:end]), "[%d", &arg)
			switch b[end] {
			case 'A':
				if s.row -= arg; s.row < 0 {
					return 0, errors.New("the cursor left the screen")
				}
			case 'K':
				s.lines[s.row] = s.lines[s.row][:min(s.col, len(s.lines[s.row]))]
			case 'J':
				s.lines[s.row] = s.lines[s.row][:min(s.col, len(s.lines[s.row]))]
				s.lines = s.lines[:s.row+1]
			}
			i = end + 1
		default:
			for len(s.lines[s.row]) <= s.col {
				s.lines[s.row] = append(s.lines[s.row], ' ')
			}
			s.lines[s.row][s.col] = r
			s.col++
		}
	}
	return len(b), nil
}

func (s *screen) String() string {
	var b strings.Builder
	for _, line := range s.lines {
		b.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestFramesReplaceEachOther plays a short rescue and compares the screen after each step.
func TestFramesReplaceEachOther(t *testing.T) {
	var s screen
	width := 44
	v := New(Config{Out: &s, Terminal: true, Color: true, Size: func() (int, int) { return width, 5 }})
	p := v.Paint()
	var story strings.Builder
	show := func(what string) { fmt.Fprintf(&story, "# %s\n%s\n", what, s.String()) }
	at := time.Unix(0, 0)
	must(t, v.Note("streamdown demo (embedded broker)"))
	must(t, v.Draw(at, Frame{Lines: []string{
		p.Strong("orders") + "  " + p.Good("up"),
		"in   " + Spark([]float64{1, 2, 3, 4}, 8) + "  " + Count(1021) + "/s",
		"held " + Bar(0, 100, 20) + " 0",
	}}))
	show("first frame")
	must(t, v.Note(p.Bad("9 s  the broker was killed")))
	show("a note stays above it")
	must(t, v.Draw(at, Frame{Lines: []string{
		p.Strong("orders") + "  " + p.Bad("down") + ", and the rest of this line is far too long for it",
		"held " + Bar(40, 100, 20) + " " + Exact(1240),
	}}))
	show("a shorter frame, a longer line")
	must(t, v.Draw(at, Frame{Lines: []string{"1", "2", "3", "4", "5", "6"}}))
	show("a frame higher than the terminal")
	width = 10
	must(t, v.Draw(at, Frame{Lines: []string{"a narrower terminal now", "exactly 10"}}))
	show("narrow")
	must(t, v.Finish())
	must(t, v.Note("PROVED"))
	show("the end")
	const file = "testdata/rescue.txt"
	if *update {
		must(t, os.WriteFile(file, []byte(story.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if story.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", story.String(), want)
	}
}

func TestWithoutATerminalLinesArePlainAndRare(t *testing.T) {
	var out bytes.Buffer
	v := New(Config{Out: &out, Every: 3 * time.Second})
	start := time.Unix(100, 0)
	for i := range 8 {
		must(t, v.Draw(start.Add(time.Duration(i)*time.Second), Frame{Lines: []string{"never"}, Plain: fmt.Sprintf("second %d", i)}))
		if i == 4 {
			must(t, v.Note(v.Paint().Bad("killed")))
		}
	}
	if want := "second 0\nsecond 3\nkilled\nsecond 6\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestFileIsNoTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/out")
	must(t, err)
	defer f.Close()
	c := Detect(f, func(string) string { return "" })
	if w, h := c.Size(); c.Terminal || c.Color || w != 0 || h != 0 {
		t.Errorf("%+v, %d by %d", c, w, h)
	}
}

type broken struct{ writes int }

func (b *broken) Write([]byte) (int, error) { b.writes++; return 0, errors.New("gone") }

func TestSilentAfterItsOutputIsGone(t *testing.T) {
	var out broken
	v := New(Config{Out: &out, Terminal: true})
	for range 3 {
		if err := v.Draw(time.Time{}, Frame{Lines: []string{"x"}}); err == nil {
			t.Fatal("no error")
		}
	}
	if out.writes != 1 {
		t.Errorf("%d writes", out.writes)
	}
}

func TestCutEndsColors(t *testing.T) {
	for _, test := range []struct {
		line  string
		width int
		want  string
	}{
		{"short", 5, "short"}, {"longer", 5, "long…"}, {"", 1, ""}, {"ab", 1, "…"}, {"üöä", 2, "ü…"},
		{"\x1b[31mred\x1b[0m", 3, "\x1b[31mred\x1b[0m"}, {"\x1b[31mreddish\x1b[0m", 4, "\x1b[31mred…\x1b[0m"},
		{"\x1b[31", 3, "\x1b[31"[:2] + "…" + reset},
	} {
		if got := cut(test.line, test.width); got != test.want {
			t.Errorf("%q at %d: %q, want %q", test.line, test.width, got, test.want)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for got, want := range map[string]string{
		Exact(0): "0", Exact(999): "999", Exact(25000): "25,000", Exact(int64(-1234567)): "-1,234,567",
		Exact(uint64(math.MaxUint64)): "18,446,744,073,709,551,615",
		Count(950):                    "950", Count(1200): "1.2 k", Count(999.6): "1.0 k", Count(34_500_000): "34.5 M", Count(999_960): "1.0 M",
		Count(123_456): "123 k", Count(-1500): "-1.5 k", Count(math.NaN()): "?", Count(2e18): "2000 P",
		Bytes(0): "0 B", Bytes(1023): "1023 B", Bytes(1024): "1.0 KiB", Bytes(34.5 * (1 << 20)): "34.5 MiB",
		Seconds(0): "0 s", Seconds(400 * time.Microsecond): "0.4 ms", Seconds(850 * time.Millisecond): "850 ms",
		Seconds(12345 * time.Millisecond): "12.3 s", Seconds(59999 * time.Millisecond): "59.9 s", Seconds(65 * time.Second): "1 m 05 s",
		Seconds(400 * time.Minute): "6 h 40 m", Seconds(76 * time.Hour): "3 d 04 h", Seconds(-3 * time.Second): "-3.0 s",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestBarsDoNotPromiseTooMuch(t *testing.T) {
	for got, want := range map[string]string{
		Bar(0, 10, 4): "    ", Bar(5, 10, 4): "██  ", Bar(10, 10, 4): "████", Bar(9.9999, 10, 4): "███▉", Bar(20, 10, 4): "████",
		Bar(-1, 10, 4): "    ", Bar(1, 0, 4): "····", Bar(1, 2, 0): "",
		Spark([]float64{0, 1, 4, 8}, 6): "  ▁▂▅█", Spark([]float64{9, 9, 0, math.NaN(), 1}, 3): "▁ █", Spark(nil, 2): "  ",
		Spark([]float64{0, 0}, 2): "▁▁",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
