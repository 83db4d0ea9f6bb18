package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/wire"
)

// codeUnsupportedVersion is UNSUPPORTED_VERSION.
const codeUnsupportedVersion = 35

// link is an open connection whose broker has said what it speaks.
type link struct {
	net.Conn
	addr   string
	speaks versions
}

// ready turns a fresh connection into one on which Kafka requests may be sent. This is where TLS and SASL belong;
// plaintext needs nothing. It owns nc only when it returns without an error.
func ready(_ context.Context, nc net.Conn, _ string) (net.Conn, error) { return nc, nil }

// open dials addr and shakes hands: ApiVersions (KIP-35, KIP-511) on every new connection, because a broker may have
// been up- or downgraded since the last one. The error is a ConnError, a ReplyError, or ctx's.
func (c *Client) open(ctx context.Context, addr string) (*link, error) {
	dialing, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	nc, err := c.cfg.Dial(dialing, "tcp", addr)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("dial kafka at %s: %w", addr, ctx.Err())
		}
		return nil, dialTrouble(addr, err)
	}
	l, err := c.greet(ctx, nc, addr)
	if err != nil {
		_ = nc.Close() // its error would only hide the one that counts
		c.cfg.Logger.Debug("kafka connection not usable", "addr", addr, "err", err)
		return nil, err
	}
	c.cfg.Logger.Debug("kafka connection open", "addr", addr)
	return l, nil
}

func (c *Client) greet(ctx context.Context, nc net.Conn, addr string) (*link, error) {
	if err := nc.SetDeadline(time.Now().Add(c.cfg.RequestTimeout)); err != nil {
		return nil, peerTrouble(addr, err, true, c.cfg.RequestTimeout)
	}
	// Until the handshake is done nobody else holds the connection, so a deadline in the past is how ctx ends it.
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	l := &link{addr: addr}
	var err error
	if l.Conn, err = ready(ctx, nc, addr); err == nil {
		if l.speaks, err = c.handshake(l.Conn); err == nil && stop() {
			if err = nc.SetDeadline(time.Time{}); err == nil {
				return l, nil
			}
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("handshake with kafka at %s: %w", addr, ctx.Err())
	}
	var reply *ReplyError
	if errors.As(err, &reply) {
		return nil, err
	}
	return nil, peerTrouble(addr, err, true, c.cfg.RequestTimeout)
}

// handshake asks for the versions, first in the form that carries our name (v3), then as brokers before 2.4 want it.
func (c *Client) handshake(nc net.Conn) (versions, error) {
	for _, version := range []int16{3, 0} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version = version
		req.ClientSoftwareName = "streamdown"
		req.ClientSoftwareVersion = "1"
		if _, err := nc.Write(c.format.AppendRequest(nil, req, int32(version))); err != nil {
			return nil, err
		}
		frame, err := wire.ReadFrame(nc, nil, c.cfg.MaxResponseBytes)
		if err != nil {
			return nil, err
		}
		r := reader{b: frame}
		if id := r.int32(); r.bad || id != int32(version) {
			return nil, fmt.Errorf("correlation id %d instead of %d in the first answer", id, version)
		}
		// A broker that does not know the version says so in the form of version 0.
		if peek := r; version > 0 && peek.int16() == codeUnsupportedVersion {
			continue
		}
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.Version = version
		if err := resp.ReadFrom(r.b); err != nil {
			return nil, fmt.Errorf("read its ApiVersions: %w", err)
		}
		if err := replyError(resp.ErrorCode, nil, "ask kafka at %s for its versions", nc.RemoteAddr()); err != nil {
			return nil, err
		}
		v := make(versions, len(resp.ApiKeys))
		for _, k := range resp.ApiKeys {
			v[k.ApiKey] = span{k.MinVersion, k.MaxVersion}
		}
		return v, nil
	}
	return nil, errors.New("it refuses every version of ApiVersions")
}
