package api

import (
	"net/http"
	"testing"
)

func TestNoClientHoldsTheServerOpen(t *testing.T) {
	s := Server(http.NotFoundHandler(), nil)
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("something has no bound: %+v", s)
	}
	if s.WriteTimeout <= orderTimeout {
		t.Errorf("who gives an order is cut off after %s, before the answer at %s", s.WriteTimeout, orderTimeout)
	}
}
