package api

import (
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Server returns an HTTP server for h that no slow or greedy client can hold open for long. The caller listens, serves
// and shuts it down. log may be nil.
func Server(h http.Handler, log *slog.Logger) *http.Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return server(h, log, maxConnections)
}

// maxConnections bounds those that are open at a time, so that strangers cannot fill memory.
const maxConnections = 10_000

func server(h http.Handler, log *slog.Logger, most int64) *http.Server {
	said := &connectionLog{log: log}
	var open atomic.Int64
	return &http.Server{
		ConnState: func(c net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				if open.Add(1) > most {
					said.say("too many connections", c.RemoteAddr().String())
					_ = c.Close() // its goroutine finds it closed
				}
			case http.StateClosed, http.StateHijacked:
				open.Add(-1)
			}
		},
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second, // longer than orderTimeout: who gave an order hears what became of it
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          stdlog.New(said, "", 0),
	}
}

// connectionLog passes on what net/http says of connections, so many lines a second: strangers can cause it.
type connectionLog struct {
	log   *slog.Logger
	quiet quiet
}

// Write implements io.Writer.
func (c *connectionLog) Write(b []byte) (int, error) {
	c.say(strings.TrimSpace(string(b)), "")
	return len(b), nil
}

func (c *connectionLog) say(why, from string) {
	if unsaid, ok := c.quiet.take(time.Now()); ok {
		c.log.Warn("http connection given up", "err", printable(why), "address", from, "unsaid", unsaid)
	}
}
