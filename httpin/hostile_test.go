package httpin

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/streamdown/streamdown"
)

// hostile is a request that nobody means well with. It must not be stored.
type hostile struct {
	name, path string
	body       []byte
	header     []string
}

func gzipped(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// jsonEvils are texts that are no JSON, or JSON that is meant to hurt.
func jsonEvils() map[string]string {
	deep := 50_000
	return map[string]string{
		"arrays without end":       strings.Repeat("[", deep),
		"objects without end":      strings.Repeat(`{"a":`, deep),
		"arrays, deep":             strings.Repeat("[", deep) + strings.Repeat("]", deep),
		"objects, deep":            strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep),
		"mixed, deep":              strings.Repeat(`[{"a":`, deep) + "1" + strings.Repeat("}]", deep),
		"one too deep":             strings.Repeat("[", 70) + strings.Repeat("]", 70),
		"bad UTF-8":                "\"\xff\xfe\"",
		"overlong UTF-8":           "\"\xc0\xaf\"",
		"surrogate as UTF-8":       "\"\xed\xa0\x80\"",
		"beyond Unicode":           "\"\xf4\x90\x80\x80\"",
		"cut UTF-8":                "\"\xe2\x82\"",
		"bad UTF-8 in a name":      "{\"\xff\":1}",
		"control in a string":      "\"a\x01b\"",
		"NUL in a string":          "\"a\x00b\"",
		"newline in a name":        "{\"a\tb\":1}",
		"NUL":                      "\x00",
		"BOM":                      "\xef\xbb\xbf1",
		"UTF-16":                   "\xff\xfe1\x00",
		"single quotes":            "'a'",
		"bare word":                "hello",
		"NaN":                      "NaN",
		"Infinity":                 "-Infinity",
		"True":                     "True",
		"undefined":                "undefined",
		"hex":                      "0x10",
		"leading zero":             "01",
		"leading plus":             "+1",
		"point without digits":     "1.",
		"point first":              ".5",
		"exponent without digits":  "1e",
		"exponent sign only":       "1e+",
		"minus only":               "-",
		"two minus":                "--1",
		"number and letters":       "1a",
		"comment":                  "/* */ 1",
		"trailing comma":           "[1,]",
		"leading comma":            "[,1]",
		"comma in an object":       `{"a":1,}`,
		"no colon":                 `{"a" 1}`,
		"two colons":               `{"a"::1}`,
		"no value":                 `{"a":}`,
		"name without quotes":      `{a:1}`,
		"number as a name":         `{1:1}`,
		"crossed":                  `[{]}`,
		"too many closes":          "[]]",
		"cut string":               `"abc`,
		"cut escape":               `"abc\`,
		"cut \\u":                  `"\u12`,
		"bad \\u":                  `"\u12g4"`,
		"bad escape":               `"\x41"`,
		"cut true":                 "tru",
		"two values":               "1 2",
		"escape without end":       `"` + strings.Repeat(`\\`, deep),
		"backslashes, odd":         `"` + strings.Repeat(`\`, 2*deep+1) + `"`,
		"quotes without end":       strings.Repeat(`"`, 2*deep+1),
		"a cut number of megabyte": strings.Repeat("1", 500_000) + "e",
		"vertical tab":             "\v1",
		"no-break space":           "\u00a01",
		"line separator":           "\u20281",
	}
}

func hostiles(t testing.TB) (list []hostile) {
	add := func(name, path, body string, header ...string) {
		list = append(list, hostile{name, path, []byte(body), header})
	}
	const one, v3 = "/v1/topics/one", "/v3/clusters/kafka-1/topics/one/records"
	ce, batch, js := "application/cloudevents+json", "application/cloudevents-batch+json", "application/json"
	ev := `{"specversion":"1.0","type":"t","source":"/s","id":"1"`
	for name, text := range jsonEvils() {
		oneLine := strings.ReplaceAll(text, "\n", " ")
		add("line: "+name, one, oneLine, "Content-Type", ndjson)
		add("record: "+name, one+"?lines=record", `{"value":`+oneLine+`}`, "Content-Type", ndjson)
		add("event: "+name, one, ev+`,"data":`+text+`}`, "Content-Type", ce)
		add("batch: "+name, one, `[`+ev+`,"data":`+text+`}]`, "Content-Type", batch)
		add("stream: "+name, v3, `{"value":{"type":"JSON","data":`+text+`}}`, "Content-Type", js)
	}
	for name, text := range map[string]string{
		"lone high": `"\ud800"`, "lone low": `"\udc00"`, "turned": `"\udc00\ud800"`, "high twice": `"\ud800\ud800"`, "high and letter": `"\ud800a"`, "high at the end": `"a\udbff"`,
	} {
		add("half a pair, key: "+name, one+"?lines=record", `{"value":1,"key":`+text+`}`, "Content-Type", ndjson)
		add("half a pair, header: "+name, one+"?lines=record", `{"value":1,"headers":{"a":`+text+`}}`, "Content-Type", ndjson)
		add("half a pair, header's name: "+name, one+"?lines=record", `{"value":1,"headers":{`+text+`:"a"}}`, "Content-Type", ndjson)
		add("half a pair, attribute: "+name, one, ev+`,"ext":`+text+`}`, "Content-Type", ce)
		add("half a pair, stream: "+name, v3, `{"value":{"type":"STRING","data":`+text+`}}`, "Content-Type", js)
	}
	for name, text := range map[string]string{
		"huge": "1" + strings.Repeat("0", 100_000), "huge exponent": "1e999999999", "fraction": "0.5", "negative": "-1", "minus zero": "-0", "2^31": "2147483648",
		"2^63": "9223372036854775808", "2^64": "18446744073709551616", "text": `"0"`, "list": "[0]", "object": "{}", "true": "true", "exponent": "1e0",
	} {
		add("partition: "+name, one+"?lines=record", `{"value":1,"partition":`+text+`}`, "Content-Type", ndjson)
		add("partition_id: "+name, v3, `{"value":null,"partition_id":`+text+`}`, "Content-Type", js)
		if name != "2^31" {
			add("timestamp: "+name, one+"?lines=record", `{"value":1,"timestamp":`+text+`}`, "Content-Type", ndjson)
		}
		add("stream's time: "+name, v3, `{"value":null,"timestamp":`+text+`}`, "Content-Type", js)
		if name != "text" && name != "true" && name != "negative" {
			add("attribute: "+name, one, ev+`,"ext":`+strings.Replace(text, "-0", "{}", 1)+`}`, "Content-Type", ce)
		}
		if name != "huge" { // a URL is not that long
			add("query: "+name, one+"?partition="+strings.NewReplacer(`"`, "%22", "{", "%7B", "}", "%7D").Replace(text), "1", "Content-Type", octets)
		}
	}
	twice := func(name, path, kind string, members ...string) {
		for _, m := range members {
			list = append(list, hostile{name + " twice: " + m, path, []byte("{" + m + "," + m + "}"), []string{"Content-Type", kind}})
		}
	}
	twice("record", one+"?lines=record", ndjson, `"value":1`, `"value":1,"key":1`, `"value":1,"headers":{}`, `"value":1,"partition":0`, `"value":1,"timestamp":1`)
	twice("stream", v3, js, `"value":null`, `"key":null`, `"headers":[]`, `"partition_id":0`)
	twice("event", one, ce, `"id":"1"`, `"data":1`, `"data_base64":""`, `"datacontenttype":"a/b"`)
	many := func(n int, f func(i int) string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(f(i))
		}
		return b.String()
	}
	add("attributes without end", one, ev+","+many(20_000, func(i int) string { return fmt.Sprintf(`"a%d":1`, i) })+"}", "Content-Type", ce)
	add("one attribute 20,000 times", one, ev+","+many(20_000, func(int) string { return `"a":1` })+"}", "Content-Type", ce)
	add("attribute with a long name", one, ev+`,"`+strings.Repeat("a", 100_000)+`":1}`, "Content-Type", ce)
	add("attribute without a name", one, ev+`,"":1}`, "Content-Type", ce)
	add("events without end", one, "["+many(2001, func(int) string { return ev + "}" })+"]", "Content-Type", batch)
	add("empty events", one, "["+many(100_000, func(int) string { return "{}" })+"]", "Content-Type", batch)
	add("lines without end", one, strings.Repeat("1\n", 500_000), "Content-Type", ndjson)
	add("bad lines without end", one, strings.Repeat("x\n", 500_000), "Content-Type", ndjson)
	add("empty lines", one, strings.Repeat("\n", 1<<20), "Content-Type", ndjson)
	add("spaces", one, strings.Repeat(" ", 1<<20), "Content-Type", ndjson)
	add("returns", one, strings.Repeat("\r", 1<<20), "Content-Type", ndjson)
	add("empty objects, stream", v3, strings.Repeat("[]", 100_000), "Content-Type", js)
	add("spaces, stream", v3, strings.Repeat(" ", 1<<20), "Content-Type", js)
	add("an object without end, stream", v3, `{"value":"`+strings.Repeat("x", 1<<20), "Content-Type", js)
	add("braces in a string, stream", v3, `{"value":"`+strings.Repeat("{", 1<<19)+`"}`, "Content-Type", js)
	for name, text := range map[string]string{"not padded": "AA", "padding only": "====", "URL alphabet": "-_==", "bits left": "AB==", "line end": `AAAA\nAAAA`, "space": "AAAA BBBB", "unicode": `\u0100`} {
		add("base64 "+name, v3, `{"value":{"type":"BINARY","data":"`+text+`"}}`, "Content-Type", js)
		add("base64 event "+name, one, ev+`,"data_base64":"`+text+`"}`, "Content-Type", ce)
		add("base64 header "+name, v3, `{"value":null,"headers":[{"name":"a","value":"`+text+`"}]}`, "Content-Type", js)
	}
	zw, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 32<<20)
	bomb := gzipped(t, zeros)
	for coding, evils := range map[string]map[string][]byte{
		"gzip": {
			"bomb": bomb, "bomb in a bomb": gzipped(t, bomb), "cut": bomb[:len(bomb)/2], "head only": bomb[:10], "cut head": bomb[:5], "nothing": nil,
			"wrong sum": append(gzipped(t, []byte("1"))[:len(gzipped(t, []byte("1")))-8], 0, 0, 0, 0, 1, 0, 0, 0), "rubbish behind": append(gzipped(t, []byte("1")), "rubbish"...),
			"many members": bytes.Repeat(gzipped(t, nil), 30_000), "a name without end": append([]byte{0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 0}, bytes.Repeat([]byte("x"), 500_000)...),
			"reserved bits": {0x1f, 0x8b, 8, 0xe0, 0, 0, 0, 0, 0, 0}, "bad block": append(bomb[:10:10], 7, 7, 7, 7),
		},
		"zstd": {
			"bomb": zw.EncodeAll(zeros, nil), "cut": zw.EncodeAll([]byte("12345678901234567890"), nil)[:8], "nothing behind the magic": {0x28, 0xb5, 0x2f, 0xfd},
			"huge window": {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0x01, 0, 0}, "huge frame": {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 0, 0},
			"dictionary": {0x28, 0xb5, 0x2f, 0xfd, 0x23, 1, 2, 3, 4, 1, 1, 0, 0}, "skippable frames": bytes.Repeat([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, 100_000),
			"a skippable frame without end": {0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff}, "rubbish": []byte("rubbish and rubbish"),
		},
	} {
		for name, b := range evils {
			for _, kind := range []string{ndjson, ce} {
				list = append(list, hostile{coding + " " + name + " " + kind, one, b, []string{"Content-Type", kind, "Content-Encoding", coding}})
			}
		}
	}
	for _, coding := range []string{"gzip, gzip", "gzip,zstd", "deflate", "br", "compress", "GZIP;q=1", "*", strings.Repeat("gzip,", 500)} {
		add("coding "+streamdown.Shorten(coding, 20), one, "1", "Content-Type", ndjson, "Content-Encoding", coding)
	}
	for _, kind := range []string{"", "a", "/", "application/x-ndjson; charset", "application/x-ndjson; charset=utf-7", "application/x-ndjson; a=1; a=2", "application/cloudevents", "application/cloudevents+avro",
		"application/cloudevents-batch", "text/html", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/plain", strings.Repeat("a", 10_000) + "/b", "application/x-ndjson\x00"} {
		add("kind "+streamdown.Shorten(kind, 40), one, "1", "Content-Type", kind)
	}
	for _, topic := range []string{"..%2f..%2fetc", "%2e%2e", "a%00b", "a%0ab", "%ff", "%e2%82%ac", strings.Repeat("a", 250), "a:b", "a*b", "-%20", "%3Cscript%3E"} {
		add("topic "+streamdown.Shorten(topic, 20), "/v1/topics/"+topic, "1", "Content-Type", ndjson)
		add("stream's topic "+streamdown.Shorten(topic, 20), "/v3/clusters/kafka-1/topics/"+topic+"/records", "{}", "Content-Type", js)
	}
	for _, key := range []string{"", `""`, "\x7f", "ключ", strings.Repeat("k", 256), "a\tb", `"a` + "\x01" + `"`} {
		add("key "+streamdown.Shorten(key, 20), one, "1", "Content-Type", ndjson, "Idempotency-Key", key)
	}
	binary := []string{"ce-id", "1", "ce-type", "t", "ce-source", "/s", "ce-specversion", "1.0"}
	for _, h := range [][2]string{{"ce-x", "%"}, {"ce-x", "%f"}, {"ce-x", "%ff"}, {"ce-x", "%00"}, {"ce-x", "%0a"}, {"ce-x", "%ed%a0%80"}, {"ce-x", "\xff"}, {"ce-x-y", "1"}, {"ce-x_y", "1"}, {"ce-", "1"},
		{"ce-" + strings.Repeat("a", 100), "1"}, {"ce-time", "1"}, {"ce-time", "2020-02-30T00:00:00Z"}, {"ce-id", "2"}, {"ce-datacontenttype", "a/b"}, {"ce-x", "%EF%BF%BF"}} {
		list = append(list, hostile{"binary " + h[0] + "=" + h[1], one, nil, append(append([]string(nil), binary...), h[0], h[1])})
	}
	return list
}

// limits of one request: CPU of the thread that serves it, and bytes allocated beyond 8 for each byte that came.
const (
	mostCPU   = 10 * time.Millisecond
	mostBytes = 4 << 20
)

func threadCPU(t testing.TB) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cost is the least CPU and the least allocation of three runs.
func cost(t testing.TB, run func()) (cpu time.Duration, allocated uint64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpu, allocated = time.Hour, 1<<62
	for i := 0; i < 3 && (i == 0 || cpu > mostCPU/2 || allocated > mostBytes); i++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := threadCPU(t)
		run()
		took := threadCPU(t) - began
		runtime.ReadMemStats(&after)
		cpu, allocated = min(cpu, took), min(allocated, after.TotalAlloc-before.TotalAlloc)
	}
	return cpu, allocated
}

func TestHostileRequestsAreRefusedCheaply(t *testing.T) {
	h, taken := bare(t)
	list := hostiles(t)
	if len(list) < 200 {
		t.Fatalf("only %d", len(list))
	}
	var worst time.Duration
	var worstName string
	for _, c := range list {
		var w *httptest.ResponseRecorder
		cpu, allocated := cost(t, func() { w = h.send(http.MethodPost, c.path, bytes.NewReader(c.body), c.header...) })
		refused := w.Code >= 400
		if w.Code == 200 && strings.HasPrefix(c.path, "/v3") {
			refused = bytes.Contains(w.Body.Bytes(), []byte(`"error_code":4`)) && !bytes.Contains(w.Body.Bytes(), []byte(`"error_code":2`))
		}
		if !refused || w.Code == 500 {
			t.Errorf("%s: %d %.300s", c.name, w.Code, w.Body)
		}
		limit, bytesLimit := mostCPU, 8*uint64(len(c.body))+mostBytes
		if strings.Contains(c.name, "bomb") {
			bytesLimit += mostBytes // a body of 1 MiB, and a decoder that the pool did not have
		}
		if raceEnabled { // which is slow, and lets pools forget
			limit, bytesLimit = 20*limit, 4*bytesLimit
		}
		if cpu > limit || allocated > bytesLimit {
			t.Errorf("%s: %v of CPU, %d bytes allocated for %d", c.name, cpu, allocated, len(c.body))
		}
		if cpu > worst {
			worst, worstName = cpu, c.name
		}
	}
	if taken.records != 0 {
		t.Errorf("%d records were stored", taken.records)
	}
	if open := h.door.Stats().OpenBytes; open != 0 {
		t.Errorf("%d bytes stay open", open)
	}
	t.Logf("%d requests; the dearest took %v of CPU: %s", len(list), worst, worstName)
}

// What is wrong with the HTTP itself is net/http's to refuse; here is seen that it does, and that the next client is
// served.
func TestBrokenHTTPIsRefused(t *testing.T) {
	h := newHouse(t)
	s := httptest.NewServer(h.mux)
	defer s.Close()
	addr := s.Listener.Addr().String()
	head := "POST /v1/topics/one HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\n"
	for name, text := range map[string]string{
		"negative length":          head + "Content-Length: -1\r\n\r\n1",
		"length with a plus":       head + "Content-Length: +1\r\n\r\n1",
		"length in hex":            head + "Content-Length: 0x1\r\n\r\n1",
		"huge length":              head + "Content-Length: 99999999999999999999\r\n\r\n1",
		"large length":             head + "Content-Length: 9223372036854775807\r\n\r\n1",
		"two lengths":              head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n12",
		"lengths in one":           head + "Content-Length: 1, 2\r\n\r\n12",
		"chunk of what":            head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n1\r\n0\r\n\r\n",
		"negative chunk":           head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n1\r\n0\r\n\r\n",
		"huge chunk":               head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n1\r\n0\r\n\r\n",
		"chunk without end":        head + "Transfer-Encoding: chunked\r\n\r\n2\r\n1\nX\r\n0\r\n\r\n",
		"endless chunk extension":  head + "Transfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("a", 10_000) + "\r\n1\r\n0\r\n\r\n",
		"two codings":              head + "Transfer-Encoding: chunked, chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
		"unknown coding":           head + "Transfer-Encoding: gzip\r\n\r\n1",
		"coding and length":        head + "Transfer-Encoding: xchunked\r\nContent-Length: 1\r\n\r\n1",
		"header without a name":    head + ": x\r\n\r\n",
		"header with a space":      head + "X : y\r\nContent-Length: 1\r\n\r\n1",
		"folded header":            "POST /v1/topics/one HTTP/1.1\r\nHost: 127.0.0.1\r\n folded\r\n\r\n",
		"NUL in a header":          head + "X: a\x00b\r\n\r\n",
		"no host":                  "POST /v1/topics/one HTTP/1.1\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1\r\n\r\n1",
		"two hosts":                head + "Host: other\r\nContent-Length: 1\r\n\r\n1",
		"another version":          "POST /v1/topics/one HTTP/3.0\r\nHost: 127.0.0.1\r\n\r\n",
		"h2c by knowledge":         "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"not HTTP":                 "\x00\x00\x00\x10\x00\x12\x00\x04\x00\x00\x00\x01\x00\x00\r\n\r\n",
		"TLS":                      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"a head of megabytes":      head + "X: " + strings.Repeat("a", 2<<20) + "\r\n\r\n",
		"very many headers":        head + strings.Repeat("X: a\r\n", 300_000) + "\r\n",
		"a URL of megabytes":       "POST /v1/topics/" + strings.Repeat("a", 2<<20) + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
		"method with a line break": "PO\nST /v1/topics/one HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
	} {
		answer := raw(t, addr, text)
		if answer != "" && !strings.HasPrefix(answer, "HTTP/1.1 4") && !strings.HasPrefix(answer, "HTTP/1.1 5") {
			t.Errorf("%s: %.100q", name, answer)
		}
	}
	if n := len(h.all()); n != 0 {
		t.Errorf("%d records were stored", n)
	}
	// h2c is not offered: the request is served as what it is.
	if a := raw(t, addr, head+"Content-Length: 1\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n1"); !strings.HasPrefix(a, "HTTP/1.1 200") {
		t.Errorf("h2c: %.100q", a)
	}
	// Of a length and chunks, chunks win (RFC 9112, 6.3), as in net/http; what follows them is a request of its own.
	n := len(h.all())
	raw(t, addr, head+"Content-Length: 200\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n"+head+"Content-Length: 1\r\n\r\n2")
	if got := h.all()[n:]; len(got) != 2 || got[0].value != "1" || got[1].value != "2" {
		t.Errorf("of chunks and a length: %v", got)
	}
	// Chunks of one byte are a body like any other.
	if a := raw(t, addr, head+"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n1\r\n\n\r\n1\r\n2\r\n0\r\nX-Trailer: y\r\n\r\n"); !strings.HasPrefix(a, "HTTP/1.1 200") {
		t.Errorf("chunks: %.100q", a)
	}
}

// raw says text to addr, and returns what is answered until the connection ends or nothing comes.
func raw(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = c.Write([]byte(text)) // who refuses early closes
	_ = c.(*net.TCPConn).CloseWrite()
	all, _ := io.ReadAll(c) // what came before an error counts
	return string(all)
}
