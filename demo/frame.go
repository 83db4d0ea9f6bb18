package demo

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/streamdown/streamdown/ui"
)

const (
	boxWidth  = 16 // of each station on the way, frame included
	timelines = 9  // lines of the timeline that are shown
)

// draw shows the present. Failures of the output are returned by Finish.
func (s *show) draw(now time.Time) {
	_ = s.view.Draw(now, ui.Frame{Lines: s.lines(now, s.view.Paint()), Plain: s.plain(now)})
}

// lines is the frame for a terminal: 80 columns, 24 lines, always the same number of them, so that nothing jumps.
func (s *show) lines(now time.Time, p ui.Paint) []string {
	acked, read := s.meter.rates()
	last := s.meter.last()
	title := "streamdown demo"
	if s.cfg.Plant != PlantNone {
		title += ", planted fault: " + string(s.cfg.Plant)
	}
	lines := []string{" " + p.Strong(pad(title, 60)) + p.Faint(right(ui.Seconds(now.Sub(s.began).Truncate(100*time.Millisecond)), 18))}
	lines = append(lines, s.path(now, p, acked, read)...)
	backlog := right(ui.Exact(int64(last.backlog)), 11) + " rec"
	if last.backlog > 0 && last.waited >= 0.5 {
		backlog = right(ui.Count(last.backlog)+", "+ui.Seconds(time.Duration(last.waited*10)*100*time.Millisecond), 15)
	}
	lines = append(lines,
		"",
		" acked/s     "+p.Good(ui.Spark(s.meter.acked, bins))+"  "+right(ui.Count(acked), 11),
		" delivered/s "+p.Good(ui.Spark(s.meter.read, bins))+"  "+right(ui.Count(read), 11),
		" in the log  "+p.Wait(ui.Spark(s.meter.backlog, bins))+"  "+backlog,
		"",
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

// path is the picture of the way that a record takes.
func (s *show) path(now time.Time, p ui.Paint, acked, read float64) []string {
	errors := int64(0)
	if s.load != nil {
		errors, _ = s.load.errors()
	}
	errorPaint := p.Faint
	if errors > 0 {
		errorPaint = p.Bad
	}
	last := s.meter.last()
	brk, brkPaint := s.status.Target.Breaker, p.Faint
	switch brk {
	case "":
		brk = "starting"
	case "open":
		brkPaint = p.Bad
	case "half_open":
		brk, brkPaint = "probing", p.Wait
	}
	up, upPaint := "up", p.Good
	since := ""
	if !s.downAt.IsZero() && s.upAt.IsZero() {
		up, upPaint = "DOWN", p.Bad
		since = "for " + ui.Seconds(now.Sub(s.downAt).Truncate(100*time.Millisecond))
	}
	type cell struct {
		text  string
		paint func(string) string
	}
	same := func(s string) string { return s }
	boxes := [4][3]cell{
		{{fmt.Sprintf("%d clients", s.cfg.Producers), p.Strong}, {ui.Count(acked) + " rec/s", same}, {fmt.Sprintf("errors %d", errors), errorPaint}},
		{{"streamdown", p.Strong}, {ui.Count(last.backlog) + " wait", same}, {"breaker " + brk, brkPaint}},
		{{"embedded kfake", p.Strong}, {up, upPaint}, {since, same}},
		{{"reads directly", p.Strong}, {ui.Count(read) + " rec/s", same}, {"", same}},
	}
	arrows := [3]string{s.arrow(now, acked > 0, true), s.arrow(now, brk == "closed", since == "" && brk != "open"), s.arrow(now, read > 0, since == "")}
	paints := [3]func(string) string{p.Good, p.Good, p.Good}
	for i, a := range arrows {
		if strings.ContainsRune(a, '╳') {
			paints[i] = p.Bad
		}
	}
	head, foot := "", ""
	for i, name := range []string{"producers", "gateway", "broker", "consumer"} {
		head += " " + pad(name, boxWidth-1+4*min(1, 3-i))
	}
	totals := []string{
		ui.Exact(last.acked) + " acked", ui.Exact(s.status.Records.Accepted) + " logged",
		ui.Exact(s.status.Records.Confirmed) + " stored", ui.Exact(last.read) + " read",
	}
	for i, t := range totals {
		foot += " " + pad(t, boxWidth-1+4*min(1, 3-i))
	}
	lines := []string{"  " + p.Faint(head)}
	var top, bottom string
	for i := range boxes {
		gap := ""
		if i < len(boxes)-1 {
			gap = "    "
		}
		top += "┌" + strings.Repeat("─", boxWidth-2) + "┐" + gap
		bottom += "└" + strings.Repeat("─", boxWidth-2) + "┘" + gap
	}
	lines = append(lines, "  "+top)
	for row := range 3 {
		line := "  "
		for i := range boxes {
			c := boxes[i][row]
			line += "│" + c.paint(pad(c.text, boxWidth-2)) + "│"
			if i < len(boxes)-1 {
				if row == 1 {
					line += paints[i](arrows[i])
				} else {
					line += "    "
				}
			}
		}
		lines = append(lines, line)
	}
	return append(lines, "  "+bottom, "  "+foot)
}

// arrow is what lies between two stations: something on its way, a break, or nothing known yet.
func (s *show) arrow(now time.Time, flows, whole bool) string {
	switch {
	case !whole:
		return "─ ╳ "
	case !flows:
		return "· · "
	}
	return [...]string{"●──▶", "─●─▶", "──●▶"}[now.UnixMilli()/200%3]
}

// chapter says where in the story we are.
func (s *show) chapter(now time.Time, p ui.Paint) string {
	name := p.Strong(pad(s.phase.name, 18))
	if s.phase.takes <= 0 {
		if s.phase.name == "drain" && !s.upAt.IsZero() && s.drained == 0 && s.backlog > 0 {
			done := float64(s.backlog) - s.meter.last().backlog
			return name + " " + p.Wait(ui.Bar(max(done, 0), float64(s.backlog), 40))
		}
		return name
	}
	since := min(now.Sub(s.phase.from), s.phase.takes)
	bar := ui.Bar(since.Seconds(), s.phase.takes.Seconds(), 40)
	return name + " " + p.Wait(bar) + " " + right(ui.Seconds(since)+" of "+ui.Seconds(s.phase.takes), 18)
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
	return fmt.Sprintf("%7s    %s: acked %s/s, delivered %s/s, %s wait in the log, breaker %s",
		ui.Seconds(now.Sub(s.began).Truncate(100*time.Millisecond)), s.phase.name, ui.Count(acked), ui.Count(read), ui.Exact(s.status.Records.Backlog), s.status.Target.Breaker)
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
