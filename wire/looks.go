package wire

// What a peer says first when it speaks something else.
const (
	httpRequest  = "an HTTP request"
	httpResponse = "an HTTP response"
	http2        = "HTTP/2"
	tlsHello     = "a TLS ClientHello"
	tlsAlert     = "a TLS alert"
	proxyHeader  = "a PROXY protocol header"
	ssh          = "SSH"
	amqp         = "AMQP"
)

// looks names the protocol that begins with these four bytes, or returns "".
func looks(b [4]byte) string {
	switch string(b[:]) {
	case "GET ", "POST", "PUT ", "HEAD", "DELE", "OPTI", "PATC", "CONN", "TRAC":
		return httpRequest
	case "HTTP":
		return httpResponse
	case "PRI ":
		return http2
	case "PROX", "\r\n\r\n": // versions 1 and 2
		return proxyHeader
	case "SSH-":
		return ssh
	case "AMQP":
		return amqp
	}
	if b[1] == 3 && b[2] <= 4 { // content type, then version 3.0 (SSL 3) to 3.4 (RFC 8446, 5.1)
		switch b[0] {
		case 22:
			return tlsHello
		case 21:
			return tlsAlert
		}
	}
	return ""
}

func advice(looks string) string {
	switch looks {
	case httpRequest, http2:
		return "this port speaks Kafka's protocol, HTTP has a port of its own"
	case httpResponse:
		return "the address is a web server's; check the port"
	case tlsHello:
		return "this port speaks without TLS; set the client's security.protocol to PLAINTEXT or SASL_PLAINTEXT, or use the TLS port"
	case tlsAlert:
		return "the other side wants TLS; set security.protocol to SSL or SASL_SSL"
	case proxyHeader:
		return "switch the PROXY protocol off at the load balancer"
	}
	return "check the address and port of the client"
}
