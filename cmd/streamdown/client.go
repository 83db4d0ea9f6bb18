package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/config"
)

const (
	// askTimeout is longer than a process takes to say that an order could not be made durable.
	askTimeout = 12 * time.Second
	// maxAnswer bounds what is read of an answer: a status of some 100,000 lanes.
	maxAnswer = 64 << 20
)

// client asks a running process.
type client struct {
	addr string
	http *http.Client
}

// client returns a client for --addr, or for the address in the config; without a config for the default one.
func (o *options) client() (*client, error) {
	addr := o.addr
	if addr == "" {
		c, err := o.clientConfig()
		if err != nil {
			return nil, err
		}
		addr = c.Listen.HTTP.Address
		if _, port, err := net.SplitHostPort(addr); err == nil && port == "0" {
			return nil, usage("--addr HOST:PORT, as the running process logged it", "listen.http has port 0, so its port is not in the config")
		}
	}
	// No proxy: the process is on this machine, and an environment's proxy is not.
	return &client{addr: addr, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}, nil
}

// clientConfig is the config, or the one that init would write if there is none.
func (o *options) clientConfig() (*config.Config, error) {
	if _, err := os.Stat(o.configFile()); o.config == "" && errors.Is(err, fs.ErrNotExist) {
		c, findings := config.Parse("the default config", config.Template(""), nil)
		return c, findings.Err()
	}
	return o.load(o.logger(false))
}

// status asks how the process stands.
func (c *client) status(ctx context.Context) (s api.Status, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// order gives an order and waits until it is durable.
func (c *client) order(ctx context.Context, path string, order api.Order) (done api.Ordered, err error) {
	err = c.ask(ctx, http.MethodPost, path, order, &done)
	return done, err
}

func (c *client) ask(ctx context.Context, method, path string, body, answer any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+path, bytes.NewReader(b))
	if err != nil {
		return usage("--addr 127.0.0.1:8790", "%w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	b, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreachable(err)
	}
	contentType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if contentType == "application/problem+json" {
		var p struct{ Title, Detail, Try string }
		if json.Unmarshal(b, &p) == nil && p.Title != "" {
			return &exitError{code: exitFailed, err: fmt.Errorf("%s: %s", plain(p.Title), plain(p.Detail)), try: plain(p.Try)}
		}
	}
	if resp.StatusCode != http.StatusOK || contentType != "application/json" || json.Unmarshal(b, answer) != nil {
		return &exitError{
			code: exitUnreachable, err: fmt.Errorf("what answers at %s is not streamdown (%s, %q)", c.addr, resp.Status, contentType),
			try: "--addr with the address that streamdown run logged for http",
		}
	}
	return nil
}

func (c *client) unreachable(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op // without the URL, which says nothing that the address does not
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("no answer in time")
	}
	return &exitError{
		code: exitUnreachable, err: fmt.Errorf("ask the process at %s: %w", c.addr, err),
		try: "start it with: streamdown run; or name another one with --addr HOST:PORT",
	}
}
