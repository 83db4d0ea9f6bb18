package hostile

import (
	"encoding/binary"
	"strings"
)

// Protocols are the first words of other protocols, on each kind of port.
func Protocols() []Item {
	var items []Item
	for _, p := range protocols {
		for _, door := range []Door{Plain, Stranger, Encrypted} {
			if door == Encrypted && strings.HasPrefix(p.name, "TLS 1") {
				continue // that is where it belongs; Handshakes has what is wrong there
			}
			items = append(items, Item{Kind: "other protocols", Name: p.name, Door: door, Data: []byte(p.data), Waits: unfinished(door, []byte(p.data))})
		}
	}
	return items
}

// unfinished says whether bytes read as what a port expects are the beginning of it and no more.
func unfinished(door Door, b []byte) bool {
	if door == Encrypted { // a record's head
		return len(b) < 5
	}
	if len(b) < 4 {
		return true
	}
	limit := uint32(100 << 20)
	if door == Stranger {
		limit = 64 << 10
	}
	n := binary.BigEndian.Uint32(b)
	return n >= 8 && n <= limit && uint64(n) > uint64(len(b)-4)
}

var protocols = []struct {
	name, data string
}{
	{name: "HTTP GET", data: "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
	{name: "HTTP POST", data: "POST /topics/t HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "HTTP PUT", data: "PUT / HTTP/1.1\r\n\r\n"},
	{name: "HTTP HEAD", data: "HEAD / HTTP/1.0\r\n\r\n"},
	{name: "HTTP DELETE", data: "DELETE / HTTP/1.1\r\n\r\n"},
	{name: "HTTP OPTIONS", data: "OPTIONS * HTTP/1.1\r\n\r\n"},
	{name: "HTTP CONNECT", data: "CONNECT a:443 HTTP/1.1\r\n\r\n"},
	{name: "HTTP TRACE", data: "TRACE / HTTP/1.1\r\n\r\n"},
	{name: "HTTP PATCH", data: "PATCH / HTTP/1.1\r\n\r\n"},
	{name: "HTTP with a header of 60 KB", data: "GET / HTTP/1.1\r\nA: " + strings.Repeat("x", 60_000) + "\r\n\r\n"},
	{name: "HTTP/2 preface", data: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	{name: "WebDAV", data: "PROPFIND / HTTP/1.1\r\n\r\n"},
	{name: "WebSocket", data: "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
	{name: "HTTP answer", data: "HTTP/1.1 200 OK\r\n\r\n"},
	{name: "TLS 1.2 hello", data: "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x02\x13\x01\x01\x00"},
	{name: "TLS 1.0 hello", data: "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x01" + strings.Repeat("r", 32) + "\x00\x00\x02\x00\x2f\x01\x00"},
	{name: "SSL 2 hello", data: "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + strings.Repeat("s", 37)},
	{name: "SSL 3 hello", data: "\x16\x03\x00\x00\x2d\x01\x00\x00\x29\x03\x00" + strings.Repeat("r", 32) + "\x00\x00\x02\x00\x2f\x01\x00"},
	{name: "DTLS hello", data: "\x16\xfe\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x36" + strings.Repeat("d", 54)},
	{name: "SSH", data: "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"},
	{name: "SSH 1", data: "SSH-1.5-1.2.27\n"},
	{name: "telnet options", data: "\xff\xfb\x1f\xff\xfb\x20\xff\xfb\x18"},
	{name: "Redis inline", data: "PING\r\n"},
	{name: "Redis array", data: "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n"},
	{name: "Redis with 2^31 elements", data: "*2147483647\r\n$2147483647\r\n"},
	{name: "memcached text", data: "stats items\r\n"},
	{name: "memcached binary", data: "\x80\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00key"},
	{name: "AMQP 0-9-1", data: "AMQP\x00\x00\x09\x01"},
	{name: "AMQP 1.0", data: "AMQP\x00\x01\x00\x00"},
	{name: "AMQP 1.0 with SASL", data: "AMQP\x03\x01\x00\x00"},
	{name: "MQTT 3.1.1", data: "\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test"},
	{name: "MQTT 5", data: "\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04test"},
	{name: "STOMP", data: "CONNECT\naccept-version:1.2\nhost:x\n\n\x00"},
	{name: "NATS", data: "CONNECT {\"verbose\":false}\r\nPING\r\n"},
	{name: "Pulsar", data: "\x00\x00\x00\x21\x00\x00\x00\x1d\x08\x02\x12\x19\x0a\x0bPulsar-2.11" + strings.Repeat("p", 12)},
	{name: "RabbitMQ stream", data: "\x00\x00\x00\x08\x00\x11\x00\x01\x00\x00\x00\x01"},
	{name: "NSQ", data: "  V2IDENTIFY\n\x00\x00\x00\x02{}"},
	{name: "PostgreSQL startup", data: "\x00\x00\x00\x26\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00"},
	{name: "PostgreSQL SSLRequest", data: "\x00\x00\x00\x08\x04\xd2\x16\x2f"},
	{name: "PostgreSQL GSSENCRequest", data: "\x00\x00\x00\x08\x04\xd2\x16\x30"},
	{name: "PostgreSQL cancel", data: "\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x01\x00\x00\x00\x02"},
	{name: "MySQL login", data: "\x20\x00\x00\x01\x85\xa6\x0f\x20" + strings.Repeat("\x00", 28)},
	{name: "MongoDB", data: "\x3a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xd4\x07\x00\x00" + strings.Repeat("\x00", 42)},
	{name: "Cassandra", data: "\x04\x00\x00\x00\x01\x00\x00\x00\x16\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0"},
	{name: "Oracle TNS", data: "\x00\x57\x00\x00\x01\x00\x00\x00\x01\x36\x01\x2c" + strings.Repeat("\x00", 75)},
	{name: "SQL Server TDS", data: "\x12\x01\x00\x2f\x00\x00\x00\x00" + strings.Repeat("\x00", 39)},
	{name: "ZooKeeper four letters", data: "ruok"},
	{name: "ZooKeeper connect", data: "\x00\x00\x00\x2d" + strings.Repeat("\x00", 45)},
	{name: "LDAP bind", data: "\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"},
	{name: "Kerberos", data: "\x00\x00\x00\x06\x6a\x04\x30\x02\xa1\x00"},
	{name: "SMB", data: "\x00\x00\x00\x2f\xffSMB\x72" + strings.Repeat("\x00", 42)},
	{name: "RDP", data: "\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00"},
	{name: "VNC", data: "RFB 003.008\n"},
	{name: "X11", data: "l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
	{name: "SMTP", data: "EHLO x\r\nMAIL FROM:<a@b>\r\n"},
	{name: "IMAP", data: "a1 LOGIN a b\r\n"},
	{name: "POP3", data: "USER a\r\nPASS b\r\n"},
	{name: "FTP", data: "USER anonymous\r\n"},
	{name: "IRC", data: "NICK a\r\nUSER a 0 * :a\r\n"},
	{name: "XMPP", data: "<?xml version='1.0'?><stream:stream to='x'>"},
	{name: "SIP", data: "OPTIONS sip:a SIP/2.0\r\n\r\n"},
	{name: "RTSP", data: "DESCRIBE rtsp://a RTSP/1.0\r\n\r\n"},
	{name: "SOCKS 4", data: "\x04\x01\x00\x50\x7f\x00\x00\x01a\x00"},
	{name: "SOCKS 5", data: "\x05\x01\x00\x05\x01\x00\x03\x01a\x00\x50"},
	{name: "PROXY protocol 1", data: "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"},
	{name: "PROXY protocol 2", data: "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x00\x01\x00\x02"},
	{name: "DNS over TCP", data: "\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01"},
	{name: "BitTorrent", data: "\x13BitTorrent protocol" + strings.Repeat("\x00", 48)},
	{name: "BGP", data: strings.Repeat("\xff", 16) + "\x00\x1d\x01\x04\xfd\xe8\x00\xb4\x7f\x00\x00\x01\x00"},
	{name: "Java RMI", data: "JRMI\x00\x02K"},
	{name: "Java serialization", data: "\xac\xed\x00\x05sr\x00\x11java.util.HashMap"},
	{name: "JDWP", data: "JDWP-Handshake"},
	{name: "AJP", data: "\x12\x34\x00\x01\x0a"},
	{name: "WebLogic T3", data: "t3 12.2.1\nAS:255\nHL:19\n\n"},
	{name: "GIOP", data: "GIOP\x01\x00\x00\x00\x00\x00\x00\x26" + strings.Repeat("\x00", 38)},
	{name: "Thrift", data: "\x80\x01\x00\x01\x00\x00\x00\x03foo\x00\x00\x00\x00\x00"},
	{name: "git", data: "0032git-upload-pack /a.git\x00host=x\x00"},
	{name: "rsync", data: "@RSYNCD: 31.0\n"},
	{name: "Zabbix", data: "ZBXD\x01\x05\x00\x00\x00\x00\x00\x00\x00hello"},
	{name: "syslog", data: "<34>1 2003-10-11T22:14:15.003Z h a - - - m\n"},
	{name: "Graphite", data: "a.b.c 1 1700000000\n"},
	{name: "statsd", data: "a:1|c\n"},
	{name: "JSON", data: "{\"a\":1}\n"},
	{name: "XML", data: "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///x\">]>"},
	{name: "a lookup", data: "${jndi:ldap://127.0.0.1/a}"},
	{name: "a shell", data: "() { :;}; /bin/true\n"},
	{name: "a DOS program", data: "MZ\x90\x00\x03\x00\x00\x00"},
	{name: "an ELF program", data: "\x7fELF\x02\x01\x01\x00"},
	{name: "a gzip file", data: "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"},
	{name: "a line end", data: "\r\n\r\n"},
	{name: "zeros", data: strings.Repeat("\x00", 1000)},
	{name: "ones", data: strings.Repeat("\xff", 1000)},
	{name: "one byte", data: "K"},
	{name: "three bytes", data: "\x00\x00\x00"},
	{name: "BOM", data: "\xff\xfe\x00\x00\xef\xbb\xbf"},
	{name: "format strings", data: "%s%s%s%n%n%n\n"},
	{name: "a long line", data: strings.Repeat("A", 100_000)},
}
