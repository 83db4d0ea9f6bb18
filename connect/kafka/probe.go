package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Probe tells whether the cluster answers: on a fresh connection to one broker after the other, ApiVersions and
// Metadata without topics, until one answers both and shows at least one broker. Otherwise the error joins what each
// of them did; TroubleOf and Reset read it.
func (c *Client) Probe(ctx context.Context) error {
	var errs []error
	for _, addr := range c.addresses() {
		err := c.probe(ctx, addr)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("probe kafka: %w", errors.Join(errs...))
}

func (c *Client) probe(ctx context.Context, addr string) error {
	l, err := c.open(ctx, addr)
	if err != nil {
		return err
	}
	cn := &conn{link: *l, client: c, done: make(chan struct{})}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		_ = cn.Close()
		return ErrClosed
	}
	c.startLocked(cn)
	c.mu.Unlock()
	defer func() {
		cn.fail(ErrClosed)
		<-cn.done
	}()
	resp, err := ask[*kmsg.MetadataResponse](ctx, cn, metadataRequest([]string{}, false), 4, 12)
	if err != nil {
		return err
	}
	if len(resp.Brokers) == 0 {
		return replyError(codeBrokerNotAvailable, nil, "ask %s for its brokers", addr)
	}
	return nil
}
