package config

import (
	"log/slog"
	"strings"
)

// Log says what is logged.
type Log struct {
	Level slog.Level // the least; default slog.LevelInfo
}

var levels = []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

func levelNames() (names []string) {
	for _, l := range levels {
		names = append(names, levelName(l))
	}
	return names
}

func levelName(l slog.Level) string { return strings.ToLower(l.String()) }

func (d *decoder) log(v *value) (l Log) {
	name := d.choice(d.fields(v)["level"], levelName(l.Level), levelNames()...)
	for _, level := range levels {
		if levelName(level) == name {
			l.Level = level
		}
	}
	return l
}
