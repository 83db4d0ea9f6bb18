// Command go sends through one of Go's Kafka clients: franz, sarama or segmentio. The README beside the clients has the
// words that it reads and prints.
//
// Stability: may change.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// errLacks is for what the client has not, whatever the other side offers.
var errLacks = errors.New("")

// A client sends what halves tells it to and returns how many records were acked.
type client struct {
	name, module string
	run          func(cell) (int, error)
}

var clients = map[string]client{
	"franz":     {"franz-go", "github.com/twmb/franz-go", franz},
	"sarama":    {"Sarama", "github.com/IBM/sarama", viaSarama},
	"segmentio": {"segmentio/kafka-go", "github.com/segmentio/kafka-go", segmentio},
}

var stdin = bufio.NewScanner(os.Stdin)

func main() {
	if len(os.Args) != 2 || clients[os.Args[1]].run == nil {
		fmt.Fprintln(os.Stderr, "usage: go franz|sarama|segmentio")
		os.Exit(2)
	}
	c := clients[os.Args[1]]
	say("hello", c.name, version(c.module), "Go "+strings.TrimPrefix(runtime.Version(), "go"))
	stdin.Buffer(nil, 1<<20)
	for stdin.Scan() {
		asked := cell{}
		for _, field := range strings.Split(stdin.Text(), "\t") {
			key, value, _ := strings.Cut(field, "=")
			asked[key] = value
		}
		acked, err := c.run(asked)
		switch {
		case errors.Is(err, errLacks):
			say("lacks", err.Error())
		case err != nil:
			say("failed", strings.Join(strings.Fields(err.Error()), " "))
		default:
			say("done", strconv.Itoa(acked))
		}
	}
}

func say(words ...string) { fmt.Println(strings.Join(words, "\t")) }

func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == module {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return "unknown"
}

// cell is what to send and how.
type cell map[string]string

func (c cell) number(key string) int {
	n, _ := strconv.Atoi(c[key])
	return n
}

func (c cell) is(key string) bool { return c[key] == "true" }

// tls is nil without it.
func (c cell) tls() (*tls.Config, error) {
	if !strings.HasSuffix(c["protocol"], "SSL") {
		return nil, nil
	}
	pem, err := os.ReadFile(c["ca"])
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// A record is one to send; a nil key or value is null.
type record struct {
	partition  int
	key, value []byte
	headers    [3]header
}

type header struct {
	name  string
	value []byte
}

func (c cell) records(begin, end int) []record {
	var out []record
	for i := begin; i < end; i++ {
		for p := range c.number("partitions") {
			r := record{partition: p, headers: [3]header{{"a", fmt.Appendf(nil, "%d-%d", p, i)}, {"b", []byte{0, 0xff, 0x7f}}, {"c", []byte{}}}}
			if i%10 != 7 {
				r.key = fmt.Appendf(nil, "k-%d-%d", p, i)
			}
			if i%10 != 3 {
				r.value = fmt.Appendf(nil, "v-%d-%d-%s", p, i, strings.Repeat("abcdefgh", 16))
			}
			out = append(out, r)
		}
	}
	return out
}

// halves calls send with the ranges of records, with an outage between them when the cell has one.
func (c cell) halves(send func([]record) error) (int, error) {
	n := c.number("records")
	middle := n
	if c.is("outage") {
		middle = n / 2
	}
	if err := send(c.records(0, middle)); err != nil || middle == n {
		return n * c.number("partitions"), err
	}
	say("half")
	stdin.Scan()
	return n * c.number("partitions"), send(c.records(middle, n))
}
