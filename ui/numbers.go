package ui

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Unknown stands for what is not known: never 0.
const Unknown = "?"

// Exact writes every digit, in groups of three: 25,000. For what is proved.
func Exact[T ~int | ~int64 | ~uint64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	if n > 0 {
		s = strconv.FormatUint(uint64(n), 10)
	}
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	b.WriteString(sign)
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// Count writes a number in about three digits: 950, 1.2 k, 34.5 M. For what moves.
func Count(n float64) string { return scaled(n, 1000, []string{"", " k", " M", " G", " T", " P"}) }

// Bytes writes a size in about three digits and powers of 1024: 950 B, 34.5 MiB.
func Bytes(n float64) string {
	return scaled(n, 1024, []string{" B", " KiB", " MiB", " GiB", " TiB", " PiB"})
}

func scaled(n, step float64, units []string) string {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return Unknown
	}
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	i := 0
	// What would be rounded up to the next unit belongs there.
	for i < len(units)-1 && (n >= step || i > 0 && n >= step-0.05 || math.Round(n) >= step) {
		n /= step
		i++
	}
	digits := 1
	if i == 0 || n >= 99.95 {
		digits = 0
	}
	return sign + strconv.FormatFloat(n, 'f', digits, 64) + units[i]
}

// Seconds writes a length of time as people say it: 0.4 ms, 850 ms, 12.3 s, 1 m 05 s, 6 h 40 m, 3 d 04 h.
func Seconds(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	pair := func(big, small time.Duration, a, b string) string {
		rest := strconv.Itoa(int(d % big / small))
		if len(rest) < 2 {
			rest = "0" + rest
		}
		return strconv.Itoa(int(d/big)) + " " + a + " " + rest + " " + b
	}
	var s string
	switch day := 24 * time.Hour; {
	case d == 0:
		s = "0 s"
	case d < 10*time.Millisecond:
		s = strconv.FormatFloat(float64(d)/1e6, 'f', 1, 64) + " ms"
	case d < time.Second:
		s = strconv.Itoa(int(d/time.Millisecond)) + " ms"
	case d < time.Minute:
		s = strconv.FormatFloat(math.Floor(d.Seconds()*10)/10, 'f', 1, 64) + " s"
	case d < time.Hour:
		s = pair(time.Minute, time.Second, "m", "s")
	case d < day:
		s = pair(time.Hour, time.Minute, "h", "m")
	default:
		s = pair(day, time.Hour, "d", "h")
	}
	return sign + s
}
