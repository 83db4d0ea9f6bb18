package demo

import "time"

const (
	bins   = 48          // columns of a sparkline
	recent = time.Second // what a rate is measured over
)

// point is what was counted at one moment.
type point struct {
	at              time.Time
	acked, read     int64
	backlog, waited float64 // records, seconds
}

// meter turns counts into rates and columns. It belongs to the goroutine that draws.
type meter struct {
	each    time.Duration // of a column
	recent  []point       // the last second or so
	bin     point         // where the current column began
	columns int           // so far, also those that are gone
	acked   []float64
	read    []float64
	backlog []float64
}

func (m *meter) add(p point) {
	m.recent = append(m.recent, p)
	for len(m.recent) > 2 && p.at.Sub(m.recent[1].at) >= recent {
		m.recent = m.recent[1:]
	}
	if m.bin.at.IsZero() {
		m.bin = p
		return
	}
	if since := p.at.Sub(m.bin.at); since >= m.each {
		m.columns++
		m.acked = column(m.acked, float64(p.acked-m.bin.acked)/since.Seconds())
		m.read = column(m.read, float64(p.read-m.bin.read)/since.Seconds())
		m.backlog = column(m.backlog, p.backlog)
		m.bin = p
	}
}

func column(list []float64, v float64) []float64 {
	if len(list) == bins {
		list = append(list[:0], list[1:]...)
	}
	return append(list, v)
}

// rates returns records per second, acked and read, over the last second.
func (m *meter) rates() (acked, read float64) {
	if len(m.recent) < 2 {
		return 0, 0
	}
	a, b := m.recent[0], m.recent[len(m.recent)-1]
	s := b.at.Sub(a.at).Seconds()
	return float64(b.acked-a.acked) / s, float64(b.read-a.read) / s
}

// last is the newest point.
func (m *meter) last() point {
	if len(m.recent) == 0 {
		return point{}
	}
	return m.recent[len(m.recent)-1]
}

// place returns where the column number n is shown now.
func (m *meter) place(n int) int { return n - (m.columns - len(m.acked)) }
