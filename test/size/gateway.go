package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/test/process"
)

// gateway is the streamdown binary on a data directory.
type gateway struct {
	binary, dir    string
	kafka, http    int // ports
	env            []string
	client         *http.Client
	proc           *process.Process
	lives          int
	output, config string
}

func newGateway(binary, dir string, kafka, http int, env []string) *gateway {
	return &gateway{binary: binary, dir: dir, kafka: kafka, http: http, env: env, client: newClient(), config: filepath.Join(dir, "streamdown.yaml")}
}

func newClient() *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
}

func (g *gateway) data() string { return filepath.Join(g.dir, "data") }

func (g *gateway) addr() string { return fmt.Sprintf("127.0.0.1:%d", g.kafka) }

func (g *gateway) start(upstream string) (err error) {
	text := fmt.Sprintf(`version: 1
listen:
  kafka: { address: %q }
  http: { address: "127.0.0.1:%d" }
data: { dir: %q, max_size: 100TiB }
systems:
  primary: { kafka: { bootstrap.servers: %q } }
streams:
  - { name: all, topics: ["*"], to: primary, retain: 24h }
`, g.addr(), g.http, g.data(), upstream)
	if err := os.WriteFile(g.config, []byte(text), 0o644); err != nil {
		return err
	}
	g.lives++
	g.output = filepath.Join(g.dir, fmt.Sprintf("streamdown-%d.log", g.lives))
	g.proc, err = process.Start(process.Options{Path: g.binary, Args: []string{"run", "-c", g.config}, Env: g.env, Dir: g.dir, Log: g.output})
	return err
}

// opened is how long the log took to open, as the gateway says; 0 when it does not.
func (g *gateway) opened() time.Duration {
	text, _ := os.ReadFile(g.output) // not there, not known
	m := regexp.MustCompile(`"log opened".* elapsed=(\S+)`).FindSubmatch(text)
	if m == nil {
		return 0
	}
	d, _ := time.ParseDuration(string(m[1])) // not readable, not known
	return d
}

// warnings counts the output's lines that are warnings or errors, by message.
func (g *gateway) warnings() map[string]int {
	text, _ := os.ReadFile(g.output) // not there, nothing said
	all := map[string]int{}
	for _, m := range regexp.MustCompile(`level=(?:WARN|ERROR) msg=("[^"]*"|\S+)`).FindAllSubmatch(text, -1) {
		all[strings.Trim(string(m[1]), `"`)]++
	}
	return all
}

func (g *gateway) status(ctx context.Context) (*api.Status, error) {
	var s api.Status
	return &s, g.ask(ctx, http.MethodGet, "/v1/status", nil, &s)
}

func (g *gateway) hold(ctx context.Context, target string) error {
	return g.ask(ctx, http.MethodPost, "/v1/hold", api.Order{Target: target, Reason: "size"}, nil)
}

func (g *gateway) resume(ctx context.Context, target string) error {
	return g.ask(ctx, http.MethodPost, "/v1/resume", api.Order{Target: target}, nil)
}

func (g *gateway) ask(ctx context.Context, method, path string, body, answer any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://127.0.0.1:%d%s", g.http, path), bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the gateway: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500)) // what came is shown
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// memory is what the process holds now, and the most it held since the last forget.
func (g *gateway) memory() (rss, peak int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.proc.PID()))
	if err != nil {
		return 0, 0, errors.Join(err, g.proc.Err())
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[2] == "kB" {
			n, _ := strconv.ParseInt(f[1], 10, 64) // 0 shows
			switch f[0] {
			case "VmRSS:":
				rss = n << 10
			case "VmHWM:":
				peak = n << 10
			}
		}
	}
	return rss, peak, nil
}

// forget makes the highest memory so far what it is now (proc(5), clear_refs). Where that is not allowed, the peak is
// that of all phases so far.
func (g *gateway) forget() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", g.proc.PID()), []byte("5"), 0o200)
}
