package config

import (
	"strings"
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1234": 1234, "1B": 1, "50GiB": 50 << 30, "512MB": 512e6, "1.5KiB": 1536, "2 TiB": 2 << 40, "1kB": 1000,
		" 5MiB ": 5 << 20, "4EiB": -1, "1e3": -1, "": -1, "GiB": -1, "-1": -1, "5G": -1, "5gib": -1, "1.2.3MB": -1,
		"99999999999999999999": -1, "9999999999TiB": -1, "1_000": -1, "9999999999.5TiB": -1,
	} {
		got, err := ParseSize(text)
		if want < 0 {
			if err == nil {
				t.Errorf("%q is read as %d", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%d is written as %q", got, got)
		}
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]Rate{
		"off": 0, "0": 0, "0/s": 0, "8MiB/s": 8 << 20, "1.5 MB/s": 15e5, "100B/s": 100, " 2GiB/s ": 2 << 30, "8MiB": -1, "8": -1, "8M/s": -1,
		"8MiB/min": -1, "/s": -1, "": -1, "-1MiB/s": -1, "on": -1, "OFF": -1, "8MiB/s/s": -1, "99999999999999999999/s": -1,
	} {
		got, err := ParseRate(text)
		if want < 0 {
			if err == nil {
				t.Errorf("%q is read as %d", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
		if again, err := ParseRate(got.String()); err != nil || again != got {
			t.Errorf("%d is written as %q", got, got)
		}
	}
	for text, hint := range map[string]string{"8MiB": "8MiB/s", "8M/s": "MiB", "lots": "or off"} {
		if _, err := ParseRate(text); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: no hint at %s: %v", text, hint, err)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "1.5s": 1500 * time.Millisecond, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour,
		"1d12h": 36 * time.Hour, "1d30m": 24*time.Hour + 30*time.Minute, "5": -1, "1.5": -1, "-1s": -1, "": -1, "s": -1, "d": -1,
		"1.5d": -1, "1 s": -1, "one": -1, "99999999999h": -1, "inf": -1, "70000d": -1, "1d-1h": -1, "1dd": -1,
	} {
		got, err := ParseDuration(text)
		if want < 0 {
			if err == nil {
				t.Errorf("%q is read as %s", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
		if again, err := ParseDuration(formatDuration(got)); err != nil || again != got {
			t.Errorf("%s is written as %q", got, formatDuration(got))
		}
	}
	if _, err := ParseDuration("90"); err == nil || !strings.Contains(err.Error(), "90s") {
		t.Errorf("no hint at the unit: %v", err)
	}
}

func TestNearestWord(t *testing.T) {
	for word, want := range map[string]string{
		"bootstrap.server": "bootstrap.servers", "bootsrap.servers": "bootstrap.servers", "BOOTSTRAP.SERVERS": "bootstrap.servers",
		"clientid": "client.id", "client_id": "client.id", "zzz": "", "": "", "security.protocl": "security.protocol",
	} {
		if got := nearest(word, kafkaKeys); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := distance("ab", "ba", 9); got != 1 {
		t.Errorf("a swap costs %d", got)
	}
}
