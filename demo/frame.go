package demo

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/streamdown/streamdown/ui"
)

const (
	boxWidth  = 17 // of each station on the way, frame included
	arrow     = 3  // between two of them
	timelines = 8  // lines of the timeline that are shown
)

// draw shows the present. Failures of the output are returned by Finish.
func (s *show) draw(now time.Time) {
	_ = s.view.Draw(now, ui.Frame{Lines: s.lines(now, s.view.Paint()), Plain: s.plain(now)})
}

// lines is the frame for a terminal: 80 columns, 23 lines, always the same number of them, so that nothing jumps.
func (s *show) lines(now time.Time, p ui.Paint) []string {
	acked, read := s.meter.rates()
	title := "streamdown demo: an outage as producers see it"
	if s.cfg.Plant != PlantNone {
		title = "streamdown demo, with a planted fault: " + string(s.cfg.Plant)
	}
	lines := []string{" " + p.Strong(pad(title, 60)) + p.Faint(right(fmt.Sprintf("%.1f s", now.Sub(s.began).Seconds()), 18))}
	lines = append(lines, s.path(now, p, acked, read)...)
	lines = append(lines,
		"",
		" acked/s     "+p.Good(spark(s.meter.acked))+right(ui.Count(acked), 9),
		" delivered/s "+p.Good(spark(s.meter.read))+right(ui.Count(read), 9),
		" in the log  "+p.Wait(spark(s.meter.backlog))+right(s.oldest(), 18),
		"             "+s.axis(p),
		" "+s.chapter(now, p),
		"",
	)
	from := max(0, len(s.events)-timelines)
	for _, e := range s.events[from:] {
		lines = append(lines, " "+e.paint(p))
	}
	for range timelines - (len(s.events) - from) {
		lines = append(lines, "")
	}
	return lines
}

// oldest says how long the oldest record has waited, if that is long.
func (s *show) oldest() string {
	last := s.meter.last()
	if last.backlog == 0 || last.waited < 0.5 {
		return ui.Exact(int64(last.backlog)) + "         "
	}
	return ui.Count(last.backlog) + ", up to " + fmt.Sprintf("%.0f s", last.waited)
}

// path is the picture of the way that a record takes.
func (s *show) path(now time.Time, p ui.Paint, acked, read float64) []string {
	away := !s.downAt.IsZero() && s.upAt.IsZero()
	last := s.meter.last()
	boxes := [4][]cell{
		{{fmt.Sprintf("%d clients", s.cfg.Producers), p.Strong}, {ui.Count(acked) + " rec/s", nil}, {"no errors", p.Good}},
		{{"streamdown", p.Strong}, {ui.Count(last.backlog) + " wait", nil}, {"breaker " + s.status.Target.Breaker, nil}},
		{{"embedded", p.Strong}, {"up", p.Good}, {"", nil}},
		{{"reads directly", p.Strong}, {ui.Count(read) + " rec/s", nil}, {"", nil}},
	}
	if s.load != nil {
		if n, _ := s.load.errors(); n > 0 {
			boxes[0][2] = cell{ui.Count(float64(n)) + " errors", p.Bad}
		}
	}
	switch s.status.Target.Breaker {
	case "open":
		boxes[1][2].paint = p.Bad
	case "half_open":
		boxes[1][2] = cell{"probing", p.Wait}
	}
	if away {
		boxes[2][1] = cell{"DOWN", p.Bad}
		boxes[2][2].text = fmt.Sprintf("for %.1f s", now.Sub(s.downAt).Seconds())
	}
	closed := s.status.Target.Breaker == "closed"
	arrows := [3]string{flow(now, p, acked > 0, true), flow(now, p, closed && last.backlog+acked > 0, closed), flow(now, p, read > 0, !away)}
	if !away && !closed {
		arrows[1] = p.Wait(" ? ")
	}

	lines := []string{
		row("producers", "gateway", "broker", "consumer"),
		"", "", "", "", "",
		row(ui.Exact(last.acked)+" acked", ui.Exact(s.status.Records.Accepted)+" logged",
			ui.Exact(s.status.Records.Confirmed)+" confirmed", ui.Exact(last.read)+" read"),
	}
	for i, box := range boxes {
		gaps, middle := "", "" // behind the last box
		if i < len(arrows) {
			gaps, middle = strings.Repeat(" ", arrow), arrows[i]
		}
		lines[1] += "┌" + strings.Repeat("─", boxWidth-2) + "┐" + gaps
		lines[5] += "└" + strings.Repeat("─", boxWidth-2) + "┘" + gaps
		for j, c := range box {
			gap := gaps
			if j == 1 {
				gap = middle
			}
			lines[2+j] += "│ " + c.String() + "│" + gap
		}
	}
	for i := range lines {
		lines[i] = strings.TrimRight(" "+lines[i], " ")
	}
	return lines
}

// cell is a line in a box.
type cell struct {
	text  string
	paint func(string) string // nil = as it is
}

func (c cell) String() string {
	text := pad(c.text, boxWidth-3)
	if c.paint == nil {
		return text
	}
	return c.paint(text)
}

// row writes a text above or below each box.
func row(texts ...string) (line string) {
	for _, t := range texts {
		line += pad("  "+t, boxWidth+arrow)
	}
	return line
}

// flow is what lies between two stations: something on its way, nothing, or a break.
func flow(now time.Time, p ui.Paint, moves, whole bool) string {
	switch {
	case !whole:
		return p.Bad("─╳ ")
	case !moves:
		return "──▶"
	}
	return p.Good([...]string{"●─▶", "─●▶", "──▶"}[now.UnixMilli()/200%3])
}

// spark draws columns from the left, so that a column stays where it is until there is no more room.
func spark(values []float64) string { return pad(ui.Spark(values, len(values)), bins) }

// axis marks the outage below the sparklines.
func (s *show) axis(p ui.Paint) string {
	if s.downAt.IsZero() {
		return ""
	}
	from, to := max(0, s.meter.place(s.downCol)), s.meter.place(s.meter.columns)
	if !s.upAt.IsZero() {
		to = s.meter.place(s.upCol)
	}
	width := to - from
	if width < 2 {
		return ""
	}
	line := strings.Repeat("─", width-2)
	if label := " broker down "; width >= len(label)+4 {
		line = "─" + label + strings.Repeat("─", width-3-len(label))
	}
	end := "╯"
	if s.upAt.IsZero() {
		end = "─"
	}
	return strings.Repeat(" ", from) + p.Bad("╰"+line+end)
}

// chapter says where in the story we are.
func (s *show) chapter(now time.Time, p ui.Paint) string {
	name, width := p.Strong(pad(s.phase.name, 18)), 40
	switch {
	case s.phase.takes > 0:
		since := min(now.Sub(s.phase.from), s.phase.takes)
		return name + "  " + p.Wait(ui.Bar(since.Seconds(), s.phase.takes.Seconds(), width)) + right(fmt.Sprintf("%.1f of %.1f s", since.Seconds(), s.phase.takes.Seconds()), 18)
	case s.phase.name == "drain" && s.backlog > 0:
		return name + "  " + p.Wait(ui.Bar(max(float64(s.backlog)-s.meter.last().backlog, 0), float64(s.backlog), width))
	case s.phase.name == "probe":
		return name + "  " + p.Faint("it has to be steady for a while before the backlog is sent")
	}
	return name
}

func (e event) paint(p ui.Paint) string {
	line := e.String()
	switch e.mark {
	case '✓':
		return p.Good(line)
	case '✗':
		return p.Bad(line)
	case '!':
		return p.Wait(line)
	}
	return line
}

// plain is the frame in one line.
func (s *show) plain(now time.Time) string {
	acked, read := s.meter.rates()
	return fmt.Sprintf("%6.1f s    %s: acked %s/s, delivered %s/s, %s wait in the log, breaker %s",
		now.Sub(s.began).Seconds(), s.phase.name, ui.Count(acked), ui.Count(read), ui.Exact(s.status.Records.Backlog), s.status.Target.Breaker)
}

// pad fills with spaces up to width characters, and cuts what is longer.
func pad(s string, width int) string {
	n := utf8.RuneCountInString(s)
	if n > width {
		return string([]rune(s)[:width])
	}
	return s + strings.Repeat(" ", width-n)
}

// right fills with spaces on the left.
func right(s string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s))) + s
}
