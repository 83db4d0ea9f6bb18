package gateway

import (
	"errors"
	"fmt"
	"strings"

	"github.com/streamdown/streamdown/wire"
)

// tlsAlert is a fatal alert, handshake_failure, in the form of TLS 1.0 that every version reads (RFC 8446, section 6):
// a client that speaks TLS to a port without it gets an error at once and not a time-out.
var tlsAlert = []byte{21, 3, 1, 0, 2, 2, 40}

const httpRefusalText = "This port speaks the Kafka protocol, not HTTP. Kafka clients use it as bootstrap.servers; HTTP has a port of its own (listen.http).\n"

var httpRefusal = fmt.Appendf(nil, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
	len(httpRefusalText), httpRefusalText)

// answerTo returns what a stranger understands, by its first bytes; nil when there is nothing to say.
func answerTo(err error) []byte {
	var frame *wire.FrameError
	if !errors.As(err, &frame) {
		return nil
	}
	switch {
	case strings.HasPrefix(frame.Looks, "a TLS ClientHello"):
		return tlsAlert
	case strings.HasPrefix(frame.Looks, "an HTTP request"), frame.Looks == "HTTP/2":
		return httpRefusal
	}
	return nil
}
