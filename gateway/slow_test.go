package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/auth"
)

// TestSlowConnectionsCostLittle holds SLOW_CONNECTIONS (600) connections open that never log in, for SLOW_TIME (2s):
// silent, in the middle of a frame, in the middle of a TLS handshake. Each comes again when it is cut off. By hand:
//
//	SLOW_CONNECTIONS=10000 SLOW_TIME=1m go test -count=1 -v -run TestSlowConnections ./gateway
func TestSlowConnectionsCostLittle(t *testing.T) {
	connections, hold := 600, 2*time.Second
	if s := os.Getenv("SLOW_CONNECTIONS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		connections = n
	}
	if s := os.Getenv("SLOW_TIME"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		hold = d
	}
	ca := newAuthority(t, "root")
	m := newMemory("t")
	m.counts = true // otherwise they are most of what is measured
	cfg := withLogins(t)
	cert, key := ca.forServer().files(t, t.TempDir())
	cfg.TLS = &auth.TLS{Cert: cert, Key: key}
	cfg.MaxConnections, cfg.MaxConnectionsPerAddress = connections+100, connections+100
	s := serve(t, cfg, m, m)
	roots := &tls.Config{RootCAs: pool(ca.cert), ServerName: "localhost"}
	cl := newClient(t, s.addr, kgo.DialTLSConfig(roots), kgo.SASL(credentialsOf("alice", "alices-secret")["SCRAM-SHA-256"]), kgo.ProducerLinger(0))
	p99 := func(d time.Duration) time.Duration {
		var took []time.Duration
		ctx, cancel := context.WithTimeout(t.Context(), d+testTime)
		defer cancel()
		for until := time.Now().Add(d); time.Now().Before(until); {
			began := time.Now()
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
				t.Fatalf("a healthy client: %v", err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return took[len(took)*99/100]
	}
	alone := p99(time.Second)
	before := live()
	trust := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(trust, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	// The other ends are in a process of their own, so that what is measured is the gateway's.
	slow := exec.CommandContext(t.Context(), os.Args[0])
	slow.Env = append(os.Environ(), slowRole+"="+strings.Join([]string{s.addr, trust, strconv.Itoa(connections)}, ","))
	slow.Stderr = os.Stderr
	hangUp, err := slow.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := slow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(said, make([]byte, 1)); err != nil {
		t.Fatalf("the slow clients did not come: %v", err)
	}
	if n := s.Stats().Connections; n < int64(connections)*8/10 {
		t.Errorf("%d connections are open, want some %d", n, connections)
	}
	beside := p99(hold)
	each := (live() - before) / int64(connections)
	t.Logf("%d slow connections for %v: %d bytes each, %s resident in all; a healthy client's p99 %v, alone %v; cut %v",
		connections, hold, each, resident(), beside, alone, s.Stats().Cut)
	_ = hangUp.Close()
	if err := slow.Wait(); err != nil {
		t.Error(err)
	}
	if each > 48<<10 {
		t.Errorf("a slow connection costs %d bytes", each)
	}
}

// slowRole makes the test binary a crowd of slow clients; its value is where they go, whom they trust, and how many they are.
const slowRole = "STREAMDOWN_TEST_SLOW"

// slowClients hold connections open until standard input ends. They say when nearly all are there.
func slowClients(addr, trust string, connections int) error {
	ca, err := os.ReadFile(trust)
	if err != nil {
		return err
	}
	roots := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	roots.RootCAs.AppendCertsFromPEM(ca)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var open atomic.Int64
	half := frame(1, &kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "PLAIN"})
	half[1], half[2] = 0, 0xf0 // announces 60 KiB
	for i := range connections {
		all.Go(func() {
			for ctx.Err() == nil {
				nc, err := net.Dial("tcp", addr)
				if err != nil {
					continue
				}
				stop := context.AfterFunc(ctx, func() { nc.Close() })
				if open.Add(1) == int64(connections)*9/10 {
					fmt.Print(".")
				}
				switch i % 3 {
				case 1:
					_, _ = nc.Write([]byte{22, 3, 1, 2, 0, 1})
				case 2:
					within := tls.Client(nc, roots)
					if within.HandshakeContext(ctx) == nil {
						_, _ = within.Write(half)
					}
				}
				_, _ = nc.Read(make([]byte, 64)) // until it is cut off
				open.Add(-1)
				stop()
				nc.Close()
			}
		})
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	cancel()
	all.Wait()
	return err
}

// live is the memory that is in use, stacks included.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// resident is what the process has of the machine's memory.
func resident() string {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}
