package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
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
	addr  string // host:port
	base  string // http:// or https:// and the address
	login string // the Authorization header; empty = none
	http  *http.Client
}

// client returns a client for --addr, or for the address in the config; without a config for the default one.
func (o *options) client() (*client, error) {
	scheme, addr, found := strings.Cut(o.addr, "://")
	if !found {
		scheme, addr = "", o.addr
	}
	secure, err := o.login.tls()
	if err != nil {
		return nil, err
	}
	if addr == "" {
		c, err := o.clientConfig()
		if err != nil {
			return nil, err
		}
		if addr, err = reachable(c.Listen.HTTP.Address); err != nil {
			return nil, err
		}
		scheme = "http"
		if t := c.Listen.HTTP.TLS; t != nil {
			scheme = "https"
			if secure == nil {
				secure = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			host, _, _ := net.SplitHostPort(addr)
			if o.login.caFile == "" {
				secure = pinned(secure, host, t.Cert)
			}
		}
	}
	if scheme == "" {
		if scheme = "http"; secure != nil {
			scheme = "https"
		}
	}
	c := &client{addr: addr, base: scheme + "://" + addr}
	if c.login, err = o.authorization(); err != nil {
		return nil, err
	}
	if c.login != "" && scheme == "http" && !onThisMachine(addr) {
		return nil, usage("--addr https://"+addr, "the login would cross the network in the clear")
	}
	// No proxy: the process is near, and an environment's proxy is not meant for it.
	c.http = &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: secure},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the login is for nobody else
	}
	return c, nil
}

// reachable is where a process is asked that listens at an address.
func reachable(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if port == "0" {
		return "", usage("--addr HOST:PORT, as the running process logged it", "listen.http has port 0, so its port is not in the config")
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		if host = "127.0.0.1"; ip.Is6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port), nil
}

// clientConfig is the config, or the one that init would write if there is none.
func (o *options) clientConfig() (*config.Config, error) {
	if _, err := os.Stat(o.configFile()); o.config == "" && errors.Is(err, fs.ErrNotExist) {
		c, findings := config.Parse("the default config", config.Template(""), nil)
		return c, findings.Err()
	}
	c, err := o.load(o.logger(false))
	if bad := (*exitError)(nil); errors.As(err, &bad) && bad.try == "" {
		bad.try = "streamdown config lint; or ask the running process without it: --addr 127.0.0.1:8790"
	}
	return c, err
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
	b, err := c.exchange(ctx, method, path, "application/json", body)
	if err != nil {
		return err
	}
	if json.Unmarshal(b, answer) != nil {
		return c.stranger("what it says is no answer of ours")
	}
	return nil
}

// exchange sends a request and returns the answer, which has to be of the type that is wanted.
func (c *client) exchange(ctx context.Context, method, path, wanted string, body any) ([]byte, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(b))
	if err != nil {
		return nil, usage("--addr 127.0.0.1:8790", "%w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	if c.login != "" {
		r.Header.Set("Authorization", c.login)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	b, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, c.unreachable(err)
	}
	contentType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if contentType == "application/problem+json" {
		var p struct{ Title, Detail, Try string }
		if json.Unmarshal(b, &p) == nil && p.Title != "" {
			switch {
			case resp.StatusCode == http.StatusUnauthorized && c.login == "":
				return nil, &exitError{code: exitFailed, err: fmt.Errorf("the process at %s wants to know who asks", c.addr), try: howToLogIn}
			case resp.StatusCode == http.StatusUnauthorized:
				return nil, &exitError{
					code: exitFailed, err: fmt.Errorf("the process at %s refuses the login: %s", c.addr, plain(p.Detail)),
					try: "the name and password, or the token, of a user in auth.users of the process's config; its log says what was wrong",
				}
			}
			return nil, &exitError{code: exitFailed, err: fmt.Errorf("%s: %s", plain(p.Title), plain(p.Detail)), try: plain(p.Try)}
		}
	}
	if resp.StatusCode == http.StatusBadRequest && bytes.Contains(b, []byte("HTTP request to an HTTPS server")) {
		return nil, &exitError{code: exitUnreachable, err: fmt.Errorf("the process at %s speaks TLS", c.addr), try: "--addr https://" + c.addr}
	}
	if resp.StatusCode != http.StatusOK || contentType != wanted || wanted == "application/json" && !json.Valid(b) {
		return nil, c.stranger(fmt.Sprintf("%s, %q", resp.Status, contentType))
	}
	return b, nil
}

func (c *client) stranger(says string) error {
	return &exitError{
		code: exitUnreachable, err: fmt.Errorf("what answers at %s is not streamdown (%s)", c.addr, says),
		try: "--addr with the address that streamdown run logged for http",
	}
}

func (c *client) unreachable(err error) error {
	if advice := adviceOnHTTPS(err); advice != "" {
		return &exitError{code: exitUnreachable, err: fmt.Errorf("ask the process at %s: %w", c.addr, errors.Unwrap(err)), try: advice}
	}
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
