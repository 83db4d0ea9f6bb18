package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/connect/kafka/credentials"
	"github.com/streamdown/streamdown/gateway"
)

// Source is where a config comes from.
type Source struct {
	File string // its name, for people
	// Load reads and checks it anew, and what it refers to. The config is nil exactly if the findings hold an error.
	Load func() (*config.Config, config.Findings)
}

// reloading is the config in effect and what became of reading it again.
type reloading struct {
	turn sync.Mutex // one at a time; guards who
	who  *auth.Authority

	level     *slog.LevelVar // nil = it is not ours to set
	effective atomic.Pointer[config.Config]
	upstream  upstream

	mu     sync.Mutex // guards the following
	status api.Config
}

// upstream are the credentials for the target, as they are now.
type upstream struct {
	settings atomic.Pointer[credentials.Settings]
}

// Load reads them (kafka.Credentials).
func (u *upstream) Load() (*credentials.Login, error) { return u.settings.Load().Load() }

// in takes c, which holds from now on.
func (r *reloading) in(c *config.Config, system string) {
	if s, ok := c.System(system); ok {
		r.upstream.settings.Store(&s.Kafka.Security)
	}
	if r.level != nil {
		r.level.Set(c.Log.Level)
	}
	r.effective.Store(c)
}

// beginConfig notes the config that the process starts with.
func (n *Node) beginConfig() {
	n.reloading.level = n.opt.Level
	n.reloading.in(n.cfg, n.system.Name)
	n.reloading.status = api.Config{Hash: n.cfg.Hash(), LoadedAt: n.started}
	if n.opt.Source != nil {
		n.reloading.status.File = n.opt.Source.File
	}
}

// now is the config in effect.
func (n *Node) now() *config.Config { return n.reloading.effective.Load() }

// ShowConfig returns the config in effect, without secrets.
func (n *Node) ShowConfig() []byte { return n.now().Show() }

// configStatus tells which config is in effect.
func (n *Node) configStatus() api.Config {
	n.reloading.mu.Lock()
	defer n.reloading.mu.Unlock()
	return n.reloading.status
}

// Reload reads the config again and applies what can change while the process runs. It checks everything first: after an
// error the config from before is in effect as a whole. With dry it only says what it would do.
func (n *Node) Reload(ctx context.Context, dry bool) (api.Reloaded, error) {
	r := &n.reloading
	r.turn.Lock()
	defer r.turn.Unlock()
	if n.opt.Source == nil {
		return api.Reloaded{}, errors.New("this process was not started with a config file")
	}
	next, findings := n.opt.Source.Load()
	if next == nil {
		return api.Reloaded{}, n.notReloaded(ctx, dry, &api.ConfigError{Findings: told(findings)})
	}
	running := n.now()
	applied := config.Apply(running, next)
	if orphans := n.orphans(applied); len(orphans) > 0 {
		return api.Reloaded{}, n.notReloaded(ctx, dry, &api.ConfigError{Findings: told(append(orphans, findings...))})
	}
	done := api.Reloaded{DryRun: dry, Findings: told(findings)}
	for _, c := range config.Diff(running, next) {
		change := api.ConfigChange{Key: c.Key, Was: known(c.Was), Is: known(c.Is), Note: c.Note}
		if c.Live {
			done.Applied = append(done.Applied, change)
		} else {
			done.NeedsRestart = append(done.NeedsRestart, change)
		}
	}
	if !dry {
		if err := n.apply(ctx, running, applied); err != nil {
			return api.Reloaded{}, n.notReloaded(ctx, false, err)
		}
		n.reloaded(ctx, applied, &done)
	}
	done.Config = n.configStatus()
	return done, nil
}

// apply puts c in the place of running, or changes nothing.
func (n *Node) apply(ctx context.Context, running, c *config.Config) error {
	steps := []func(context.Context, *config.Config) error{n.applyUsers, n.applyKafka, n.applyHTTP}
	for i, step := range steps {
		if err := step(ctx, c); err != nil {
			for _, undo := range steps[:i] {
				err = errors.Join(err, undo(ctx, running))
			}
			return err
		}
	}
	n.reloading.in(c, n.system.Name)
	n.scrub.set(c.Data.Scrub)
	return nil
}

func (n *Node) applyKafka(ctx context.Context, c *config.Config) error {
	k := &c.Listen.Kafka
	err := n.gateway.Update(ctx, gateway.Live{
		MaxConnections: k.MaxConnections, MaxConnectionsPerAddress: k.MaxConnectionsPerAddress,
		SASL: k.SASL.Mechanisms, SessionLifetime: k.SASL.SessionLifetime, TLS: listenerTLS(k.TLS),
	})
	if err != nil {
		return fmt.Errorf("listen.kafka: %w", err)
	}
	return nil
}

func (n *Node) applyHTTP(_ context.Context, c *config.Config) error {
	if t := listenerTLS(c.Listen.HTTP.TLS); t != nil && n.httpTLS != nil {
		if err := n.httpTLS.Replace(*t); err != nil {
			return fmt.Errorf("listen.http: %w", err)
		}
	}
	return nil
}

func (n *Node) applyUsers(_ context.Context, c *config.Config) error {
	if n.reloading.who == nil {
		return nil
	}
	if err := n.reloading.who.Update(users(c)); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	return nil
}

// users are those who may come in, and how.
func users(c *config.Config) auth.Config {
	a := c.Auth
	a.Mechanisms, a.Basic = c.Listen.Kafka.SASL.Mechanisms, c.Listen.HTTP.Login
	return a
}

// orphans finds topics that would be left without a stream while the target lacks some of their records: whatever was
// acked under one is delivered under one.
func (n *Node) orphans(next *config.Config) (findings config.Findings) {
	said := map[string]bool{}
	for _, l := range n.book.Lanes() {
		if l.Backlog() == 0 {
			continue
		}
		at, ok := n.wal.LaneName(l.ID)
		topic := at.Topic
		if !ok || said[topic] {
			continue
		}
		if _, ok := next.Match(topic); ok {
			continue
		}
		said[topic] = true
		findings = append(findings, config.Finding{
			File: n.opt.Source.File, Key: "streams", Severity: config.Error,
			Text: fmt.Sprintf("no stream takes %s any more, and records of it are not confirmed at %s: keep its stream until streamdown status shows no backlog of it", topic, n.system.Name),
		})
	}
	return findings
}

func (n *Node) reloaded(ctx context.Context, c *config.Config, done *api.Reloaded) {
	r := &n.reloading
	r.mu.Lock()
	r.status.Hash, r.status.LoadedAt, r.status.Failure, r.status.NeedsRestart = c.Hash(), time.Now().UTC(), nil, nil
	for _, change := range done.NeedsRestart {
		r.status.NeedsRestart = append(r.status.NeedsRestart, change.Key)
	}
	r.mu.Unlock()
	tell := func(what string, changes []api.ConfigChange) {
		for _, c := range changes {
			n.log.Info(what, "key", c.Key, "was", worded(c.Was), "is", worded(c.Is))
		}
	}
	n.log.Info("config reloaded", "file", r.status.File, "applied", len(done.Applied), "needs_restart", len(done.NeedsRestart))
	tell("config changed", done.Applied)
	tell("config changed in the file only: it needs a restart", done.NeedsRestart)
	for _, f := range done.Findings {
		n.logFinding(ctx, f)
	}
}

// notReloaded notes an attempt that changed nothing.
func (n *Node) notReloaded(ctx context.Context, dry bool, err error) error {
	if dry {
		return err
	}
	f := &api.ConfigFailure{At: time.Now().UTC(), Why: err.Error()}
	if bad := (*api.ConfigError)(nil); errors.As(err, &bad) {
		f.Findings = bad.Findings
	}
	r := &n.reloading
	r.mu.Lock()
	r.status.Failure = f
	r.mu.Unlock()
	n.log.Error("config not reloaded: the one from before is in effect", "err", err)
	for _, f := range f.Findings {
		n.logFinding(ctx, f)
	}
	return err
}

func (n *Node) logFinding(ctx context.Context, f api.ConfigFinding) {
	level := slog.LevelError
	switch f.Severity {
	case "warning":
		level = slog.LevelWarn
	case "note":
		level = slog.LevelDebug
	}
	n.log.Log(ctx, level, "config", "finding", f.String())
}
