package ui

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// Config says what the output can do. The zero value with an Out is a plain file.
type Config struct {
	Out      io.Writer
	Terminal bool                       // Out moves its cursor when told to
	Color    bool                       // Out shows colors, and they are wanted
	Size     func() (width, height int) // of the terminal now; nil or 0 means 80 by 24
	Every    time.Duration              // between plain lines; default 5 s
}

// Detect describes an output, usually os.Stdout. getenv is os.Getenv outside of tests.
func Detect(out *os.File, getenv func(string) string) Config {
	terminal := term.IsTerminal(int(out.Fd())) && getenv("TERM") != "dumb"
	return Config{
		Out:      out,
		Terminal: terminal,
		Color:    terminal && getenv("NO_COLOR") == "",
		Size: func() (int, int) {
			width, height, err := term.GetSize(int(out.Fd()))
			if err != nil {
				return 0, 0
			}
			return width, height
		},
	}
}

// Frame is what a View shows of one moment.
type Frame struct {
	Lines []string // for a terminal; colored with a Paint if at all
	Plain string   // the same in one line without a terminal; empty prints nothing
}

// View draws frames. It is not safe for concurrent use. After the first error of its output it stays silent.
type View struct {
	config Config
	shown  []string  // the frame on the screen, cut to its size
	last   time.Time // of the last plain line
	err    error
}

// New returns a View that has shown nothing.
func New(config Config) *View {
	if config.Every <= 0 {
		config.Every = 5 * time.Second
	}
	if config.Size == nil {
		config.Size = func() (int, int) { return 0, 0 }
	}
	return &View{config: config}
}

// Paint returns the colors of the output: none where they are not wanted.
func (v *View) Paint() Paint { return Paint(v.config.Color) }

// Width returns how many characters a line may have.
func (v *View) Width() int {
	width, _ := v.size()
	return width
}

// Live reports whether frames are drawn in place.
func (v *View) Live() bool { return v.config.Terminal }

// Draw shows the frame in the place of the one before. Without a terminal it prints the plain line if the last one is
// long enough ago. Lines are cut to the width, and what does not fit the height is left out: a cursor cannot go back
// above the top.
func (v *View) Draw(now time.Time, f Frame) error {
	if !v.config.Terminal {
		if f.Plain == "" || !v.last.IsZero() && now.Sub(v.last) < v.config.Every {
			return v.err
		}
		v.last = now
		return v.write(f.Plain + "\n")
	}
	var b strings.Builder
	v.lift(&b)
	width, height := v.size()
	v.shown = v.shown[:0]
	for _, line := range f.Lines[:min(len(f.Lines), height-1)] {
		v.shown = append(v.shown, cut(line, width))
	}
	v.put(&b)
	return v.write(b.String())
}

// Note prints lines that stay, above the frame.
func (v *View) Note(lines ...string) error {
	text := strings.Join(lines, "\n") + "\n"
	if !v.config.Terminal {
		return v.write(text)
	}
	var b strings.Builder
	v.lift(&b)
	b.WriteString("\x1b[J" + text)
	v.put(&b)
	return v.write(b.String())
}

// Finish leaves the frame on the screen as it is: what is printed next goes below it.
func (v *View) Finish() error {
	v.shown = nil
	return v.err
}

// lift moves the cursor to the first line of the frame.
func (v *View) lift(b *strings.Builder) {
	if n := len(v.shown); n > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r", n)
	}
}

// put writes the frame's lines, each over what was there, and clears what is left below.
func (v *View) put(b *strings.Builder) {
	for _, line := range v.shown {
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
}

// write sends all of a change at once, so that no half-drawn frame is seen.
func (v *View) write(s string) error {
	if v.err == nil {
		if _, err := io.WriteString(v.config.Out, s); err != nil {
			v.err = fmt.Errorf("draw: %w", err)
		}
	}
	return v.err
}

func (v *View) size() (width, height int) {
	width, height = v.config.Size()
	if width <= 0 {
		width = 80
	}
	if height <= 0 {
		height = 24
	}
	return width, max(height, 2)
}

// cut shortens a line to width characters, ends its colors and marks the cut. Escape sequences take no room.
func cut(line string, width int) string {
	if width <= 0 || utf8.RuneCountInString(line) <= width {
		return line
	}
	room, keep := 0, 0 // keep is where the line ends if it has to
	colored := false
	for i := 0; i < len(line); {
		if line[i] == '\x1b' {
			colored = true
			if end := strings.IndexByte(line[i:], 'm'); end >= 0 {
				i += end + 1
				continue
			}
		}
		_, n := utf8.DecodeRuneInString(line[i:])
		if room == width {
			if colored {
				return line[:keep] + "…" + reset
			}
			return line[:keep] + "…"
		}
		if room == width-1 {
			keep = i
		}
		room++
		i += n
	}
	return line
}
