package ui

import (
	"math"
	"strings"
)

var eighths = []rune(" ▏▎▍▌▋▊▉█")

// Bar draws done of total in width characters. It is full only when done reaches total, and shows dots when total is
// not known (0 or less).
func Bar(done, total float64, width int) string {
	if width <= 0 {
		return ""
	}
	if total <= 0 || math.IsNaN(total) || math.IsNaN(done) {
		return strings.Repeat("·", width)
	}
	steps := int(math.Floor(min(max(done/total, 0), 1) * float64(width*8)))
	if done < total {
		steps = min(steps, width*8-1)
	}
	bar := strings.Repeat("█", steps/8)
	if steps/8 < width {
		bar += string(eighths[steps%8])
		bar += strings.Repeat(" ", width-steps/8-1)
	}
	return bar
}

var heights = []rune("▁▂▃▄▅▆▇█")

// Spark draws the last width values as a line of columns from 0 to the highest of them. A value that is not known
// (NaN) leaves a gap; a value above 0 never looks like 0 beside a gap, and 0 is the lowest column.
func Spark(values []float64, width int) string {
	if width <= 0 {
		return ""
	}
	if len(values) > width {
		values = values[len(values)-width:]
	}
	top := 0.0
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			top = max(top, v)
		}
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", width-len(values)))
	for _, v := range values {
		switch {
		case math.IsNaN(v):
			b.WriteByte(' ')
		case v <= 0 || top == 0:
			b.WriteRune(heights[0])
		default:
			b.WriteRune(heights[min(1+int(v/top*float64(len(heights)-1)), len(heights)-1)])
		}
	}
	return b.String()
}
