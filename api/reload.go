package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Reloader is a Control whose config can be read again. Without it POST /-/reload is answered with 501.
type Reloader interface {
	// Reload reads and checks the config again and applies what can change at run time; with dry it only says what it
	// would do. An error that holds a *ConfigError means that the file is wrong; after any error the config from before
	// is in effect. It may be called concurrently.
	Reload(ctx context.Context, dry bool) (Reloaded, error)
	// ShowConfig returns the config in effect as config show prints it, without secrets. It may be called concurrently.
	ShowConfig() []byte
}

// ShownConfig is the config in effect.
type ShownConfig struct {
	SchemaVersion int    `json:"schema_version"`
	Config        Config `json:"config"`
	Text          string `json:"text"` // YAML, every default filled in, secrets as "<redacted>"
}

// Reloaded is what reading the config again came to.
type Reloaded struct {
	SchemaVersion int             `json:"schema_version"` // filled in by the handler
	DryRun        bool            `json:"dry_run"`
	Config        Config          `json:"config"`
	Applied       []ConfigChange  `json:"applied"`       // in effect now; of a dry run, what would be
	NeedsRestart  []ConfigChange  `json:"needs_restart"` // in the file, and not in effect before the next start
	Findings      []ConfigFinding `json:"findings"`      // warnings and notes
}

// Config tells which config is in effect.
type Config struct {
	File string `json:"file"` // empty if it did not come from a file
	// Hash is the SHA-256 of what config show prints for it, which has no secrets.
	Hash     string    `json:"hash"`
	LoadedAt time.Time `json:"loaded_at"` // when it was last read and taken over
	// Failure is the last attempt to read it again, if that failed.
	Failure *ConfigFailure `json:"failure"`
	// NeedsRestart are the keys that have changed in the file since the start and wait for the next one.
	NeedsRestart []string `json:"needs_restart"`
}

// ConfigFailure says why the config was not read again.
type ConfigFailure struct {
	At       time.Time       `json:"at"`
	Why      string          `json:"why"`
	Findings []ConfigFinding `json:"findings"`
}

// ConfigChange is one key that changed. Secrets are "<redacted>".
type ConfigChange struct {
	Key  string  `json:"key"`
	Was  *string `json:"was"` // null = not set
	Is   *string `json:"is"`
	Note string  `json:"note"` // what to know about when it counts; empty if nothing
}

// ConfigFinding is one thing to say about the file.
type ConfigFinding struct {
	File     string  `json:"file"`
	Line     *int    `json:"line"` // null if it is about the whole file
	Column   *int    `json:"column"`
	Key      string  `json:"key"`
	Severity string  `json:"severity"` // error, warning or note
	Text     string  `json:"text"`
	Meant    *string `json:"meant"` // the word that was probably meant
}

// String returns the finding as config lint prints it.
func (f ConfigFinding) String() string {
	s := f.File
	if f.Line != nil && f.Column != nil {
		s += fmt.Sprintf(":%d:%d", *f.Line, *f.Column)
	}
	s += ": "
	if f.Severity != "error" {
		s += f.Severity + ": "
	}
	if f.Key != "" {
		s += f.Key + ": "
	}
	s += f.Text
	if f.Meant != nil {
		s += fmt.Sprintf(" (did you mean %q?)", *f.Meant)
	}
	return s
}

// ConfigError is a config that cannot be used.
type ConfigError struct{ Findings []ConfigFinding }

// Error tells how many findings stand in the way.
func (e *ConfigError) Error() string {
	n := 0
	for _, f := range e.Findings {
		if f.Severity == "error" {
			n++
		}
	}
	if n == 1 {
		return "the config has 1 error"
	}
	return fmt.Sprintf("the config has %d errors", n)
}

func (c *Config) whole() {
	c.LoadedAt = c.LoadedAt.UTC()
	c.NeedsRestart = list(c.NeedsRestart)
	if c.Failure != nil {
		f := *c.Failure
		f.At, f.Findings = f.At.UTC(), list(f.Findings)
		c.Failure = &f
	}
}

// reload is Prometheus' POST /-/reload. ?dry_run=true asks what it would do.
func (h *handler) reload(w http.ResponseWriter, r *http.Request) {
	reloader, ok := h.control.(Reloader)
	if !ok {
		problem{
			Status: http.StatusNotImplemented, Title: "no config to read", Detail: "this process was not started with a config file",
			Try: "streamdown run -c FILE",
		}.write(w)
		return
	}
	dry := r.URL.Query().Get("dry_run")
	if dry != "" && dry != "true" && dry != "false" {
		problem{Status: http.StatusBadRequest, Title: "bad parameter", Detail: "dry_run is neither true nor false", Try: "?dry_run=true"}.write(w)
		return
	}
	why := ""
	if dry == "true" {
		why = "a dry run"
	}
	about(r.Context(), "config", why)
	ctx, cancel := context.WithTimeout(r.Context(), orderTimeout)
	defer cancel()
	done, err := reloader.Reload(ctx, dry == "true")
	if err != nil {
		p := problem{
			Status: http.StatusInternalServerError, Title: "config not reloaded", Detail: err.Error() + "; the config from before is in effect",
			Try: "streamdown config lint",
		}
		if bad := (*ConfigError)(nil); errors.As(err, &bad) {
			p.Status, p.Findings = http.StatusBadRequest, bad.Findings
		}
		p.write(w)
		return
	}
	done.SchemaVersion = SchemaVersion
	done.Applied, done.NeedsRestart, done.Findings = list(done.Applied), list(done.NeedsRestart), list(done.Findings)
	done.Config.whole()
	writeJSON(w, http.StatusOK, "application/json", done)
}

// showConfig shows the config in effect.
func (h *handler) showConfig(w http.ResponseWriter, r *http.Request) {
	reloader, ok := h.control.(Reloader)
	if !ok {
		h.unknownPath(w, r)
		return
	}
	shown := ShownConfig{SchemaVersion: SchemaVersion, Config: h.status(r.Context()).Config, Text: string(reloader.ShowConfig())}
	shown.Config.whole()
	writeJSON(w, http.StatusOK, "application/json", shown)
}

var (
	reloadOK = desc("config_last_reload_successful", "1 if the last attempt to read the config was successful, otherwise 0.")
	reloadAt = desc("config_last_reload_success_timestamp_seconds", "When the config was last read and taken over.")
)

func (c collector) collectConfig(e emitter) {
	if c.s.Config.LoadedAt.IsZero() {
		return
	}
	ok := 1.0
	if c.s.Config.Failure != nil {
		ok = 0
	}
	e.gauge(reloadOK, ok)
	e.gauge(reloadAt, float64(c.s.Config.LoadedAt.UnixMilli())/1000)
}
