package api

import (
	"log/slog"
	"net/http"
	"time"
)

// Server returns an HTTP server for h that no slow or greedy client can hold open for long. The caller listens, serves
// and shuts it down. log may be nil.
func Server(h http.Handler, log *slog.Logger) *http.Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second, // longer than orderTimeout: who gave an order hears what became of it
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
