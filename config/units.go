package config

import (
	"fmt"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size int64

// Units of Size. KB, MB, GB and TB are powers of 1000.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

var sizeUnits = []struct {
	name  string
	bytes Size
}{
	{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

var numberAndUnit = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)$`)

// ParseSize reads a size such as 50GiB, 512MB, 1.5GiB or a plain number of bytes.
func ParseSize(text string) (Size, error) {
	m := numberAndUnit.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, fmt.Errorf("is not a size; write it like 50GiB or 512MB")
	}
	unit := Size(1)
	if m[2] != "" {
		unit = 0
		var names []string
		for _, u := range sizeUnits {
			names = append(names, u.name)
			if u.name == m[2] {
				unit = u.bytes
			}
		}
		if unit == 0 {
			if len(m[2]) == 1 {
				return 0, fmt.Errorf("has a unit with two meanings; write %siB for powers of 1024 or %sB for powers of 1000",
					strings.ToUpper(m[2]), strings.ToUpper(m[2]))
			}
			return 0, fmt.Errorf("has no known unit; use one of %s", strings.Join(names, ", "))
		}
	}
	if whole, err := strconv.ParseUint(m[1], 10, 64); err == nil {
		high, low := bits.Mul64(whole, uint64(unit))
		if high != 0 || low > 1<<62 {
			return 0, fmt.Errorf("is more than any disk holds")
		}
		return Size(low), nil
	}
	part, err := strconv.ParseFloat(m[1], 64)
	if err != nil || part*float64(unit) > 1<<62 {
		return 0, fmt.Errorf("is more than any disk holds")
	}
	return Size(part * float64(unit)), nil
}

// String returns the size in the largest unit that divides it: 50GiB, 512MB, 1234.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if u.bytes > 1 && s >= u.bytes && s%u.bytes == 0 {
			return fmt.Sprintf("%d%s", s/u.bytes, u.name)
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Rate is a number of bytes per second; 0 = off.
type Rate int64

// ParseRate reads a rate such as 8MiB/s, or off.
func ParseRate(text string) (Rate, error) {
	text = strings.TrimSpace(text)
	if text == "off" || text == "0" {
		return 0, nil
	}
	size, found := strings.CutSuffix(text, "/s")
	s, err := ParseSize(size)
	switch {
	case !numberAndUnit.MatchString(strings.TrimSpace(size)):
		return 0, fmt.Errorf("is not a rate; write it like 8MiB/s, or off")
	case err != nil:
		return 0, err
	case !found:
		return 0, fmt.Errorf("has no time; write it like %s/s", s)
	}
	return Rate(s), nil
}

// String returns the rate as a size per second, or off.
func (r Rate) String() string {
	if r <= 0 {
		return "off"
	}
	return Size(r).String() + "/s"
}

// ParseDuration reads a duration such as 1.5s, 90s, 1h30m or 7d.
func ParseDuration(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	if _, err := strconv.ParseFloat(text, 64); err == nil && text != "0" && text[0] >= '0' && text[0] <= '9' {
		return 0, fmt.Errorf("has no unit; write it like %ss or %sms", text, text)
	}
	plain := text
	if days, rest, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("is not a duration; write it like 1.5s, 10m, 24h or 7d")
		}
		plain = fmt.Sprintf("%dh%s", 24*n, rest)
		if strings.Contains(rest, "h") {
			hours, tail, _ := strings.Cut(rest, "h")
			h, err := strconv.ParseUint(hours, 10, 16)
			if err != nil {
				return 0, fmt.Errorf("is not a duration; write it like 1.5s, 10m, 24h or 7d")
			}
			plain = fmt.Sprintf("%dh%s", 24*n+h, tail)
		}
	}
	d, err := time.ParseDuration(plain)
	if err != nil {
		return 0, fmt.Errorf("is not a duration; write it like 1.5s, 10m, 24h or 7d")
	}
	if d < 0 {
		return 0, fmt.Errorf("is negative")
	}
	return d, nil
}

// formatDuration is time.Duration's form without the zero units that nobody writes: 1h instead of 1h0m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
