package realkafka

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/streamdown/streamdown/test/process"
)

// stopPatience is how long a broker may take to end after it was asked to; a controlled shutdown takes about a second.
const stopPatience = 30 * time.Second

// Options says how a broker is run. Dir is required.
type Options struct {
	// Dir holds the broker's data, configuration and output (broker.log). It is made when missing. A directory that
	// holds a broker's data already is used as it is, with the data.
	Dir string
	// Properties are added to the broker's configuration and win over what the package sets.
	Properties map[string]string
	// Listeners are more ways in than the plaintext one, which is always there and is the broker's own.
	Listeners []Listener
	// JVM are options of the Java machine that come after the package's own and win. Those are a small heap
	// (-Xmx512m -XX:+UseSerialGC) and the quick compiler only (-XX:TieredStopAtLevel=1): half the processor time at
	// start and three quarters of the memory. A benchmark that measures the broker wants -XX:TieredStopAtLevel=4.
	JVM []string
	// Log hears of starts and ends; nil is silent.
	Log *slog.Logger
}

// Broker is a real Kafka in a process of its own. Its methods may be called by one goroutine at a time, but for Addr,
// Classpath and Log, which any may call.
type Broker struct {
	// Version is Kafka's own.
	Version string

	dir   string
	lib   string
	java  string
	id    int32
	port  int
	ports map[string]int // of the other listeners, by name
	jvm   []string
	log   *slog.Logger
	ready func(ctx context.Context, p *process.Process) error // waits until the node of process p is of use

	mu   sync.Mutex // guards the following
	proc *process.Process
}

// Start resolves the jars, formats the storage and runs a broker; it returns once the broker answers. The broker
// lives until Kill or Stop, or until the test process ends; ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Broker, error) {
	ports, err := process.Ports(2 + len(o.Listeners))
	if err != nil {
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	b, err := prepare(ctx, o, single(ports[0], ports[1], o.Properties, listeners(ports[2:], o.Listeners)))
	if err != nil {
		return nil, err
	}
	b.id, b.port, b.ports = 1, ports[0], make(map[string]int)
	for i, l := range o.Listeners {
		b.ports[l.Name] = ports[2+i]
	}
	b.ready = func(ctx context.Context, p *process.Process) error { return answers(ctx, b.Addr(), b.id, p) }
	if err := b.format(ctx, clusterID()); err != nil {
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	if err := b.Restart(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// prepare finds what a node needs and writes its configuration, to which log.dirs is added.
func prepare(ctx context.Context, o Options, conf map[string]string) (*Broker, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("start kafka: %w; install Java 17 or newer (Debian: apt-get install default-jdk-headless)", err)
	}
	b := &Broker{Version: Version(), java: java, log: o.Log}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	if b.lib, err = Jars(ctx, b.Version); err != nil {
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	b.jvm = append([]string{
		"-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
	}, o.JVM...)
	if err := os.MkdirAll(b.Data(), 0o755); err != nil {
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	conf["log.dirs"] = b.Data()
	if err := os.WriteFile(b.path("server.properties"), []byte(text(conf)), 0o644); err != nil {
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	return b, nil
}

// ID is the node id in its cluster.
func (b *Broker) ID() int32 { return b.id }

// Data is the directory with the partitions' logs, for tests that harm them while the broker is down.
func (b *Broker) Data() string { return b.path("data") }

// empty removes the data of a node that does not run.
func (b *Broker) empty() error {
	if err := os.RemoveAll(b.Data()); err != nil {
		return fmt.Errorf("empty kafka: %w", err)
	}
	if err := os.MkdirAll(b.Data(), 0o755); err != nil {
		return fmt.Errorf("empty kafka: %w", err)
	}
	return nil
}

// Addr is where clients reach the broker, "127.0.0.1:port"; the same after every Restart.
func (b *Broker) Addr() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }

// AddrOf is where clients reach one of Options.Listeners; the same after every Restart.
func (b *Broker) AddrOf(listener string) string {
	return fmt.Sprintf("127.0.0.1:%d", b.ports[listener])
}

// Classpath is what `java -cp` needs for Kafka's own classes, its Java client among them.
func (b *Broker) Classpath() string { return filepath.Join(b.lib, "*") }

// Log is the file with the output of the broker, all its lives in one.
func (b *Broker) Log() string { return b.path("broker.log") }

// Usage is what the running broker holds and has used since its last start.
func (b *Broker) Usage() (process.Usage, error) { return b.running().Usage() }

// Kill ends the broker as kill -9 does and waits until it is gone. What it wrote stays, see the package comment.
// Killing a broker that does not run is no error.
func (b *Broker) Kill() error {
	b.log.Info("kafka is killed", "addr", b.Addr())
	return b.running().Kill()
}

// Stop asks the broker to end, as an operator would, and waits. One that takes longer than 30 s, or than ctx, is
// killed, and that is an error.
func (b *Broker) Stop(ctx context.Context) error {
	b.log.Info("kafka is stopped", "addr", b.Addr())
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	return b.running().Stop(ctx)
}

// Pause halts the broker: its connections stay open and nothing answers. Continue ends that.
func (b *Broker) Pause() error {
	b.log.Info("kafka is paused", "addr", b.Addr())
	return b.running().Pause()
}

// Continue lets a paused broker go on.
func (b *Broker) Continue() error {
	b.log.Info("kafka goes on", "addr", b.Addr())
	return b.running().Continue()
}

// Restart starts a broker that was killed or stopped, on the same port and data, and returns once it answers.
func (b *Broker) Restart(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.proc != nil {
		select {
		case <-b.proc.Done():
		default:
			return fmt.Errorf("restart kafka: process %d still runs; Kill or Stop it first", b.proc.PID())
		}
	}
	began := time.Now()
	p, err := process.Start(process.Options{
		Path: b.java,
		Args: append(append([]string{}, b.jvm...), "-cp", b.Classpath(), "kafka.Kafka", b.path("server.properties")),
		Dir:  b.dir, Log: b.Log(),
	})
	if err != nil {
		return fmt.Errorf("start kafka: %w", err)
	}
	b.proc = p
	if err := b.ready(ctx, p); err != nil {
		return errors.Join(fmt.Errorf("start kafka %s: %w", b.Version, err), p.Kill())
	}
	b.log.Info("kafka answers", "node", b.id, "addr", b.Addr(), "version", b.Version, "pid", p.PID(), "elapsed", time.Since(began))
	return nil
}

func (b *Broker) running() *process.Process {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.proc
}

func (b *Broker) path(name string) string { return filepath.Join(b.dir, name) }

// clusterID is a new UUID as Kafka writes one: 22 characters of base64url.
func clusterID() string {
	var id [16]byte
	_, _ = rand.Read(id[:])
	id[0] &= 0x7f // none may begin with "-", which the tool would take for an option; Kafka's own are drawn again until they do not
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// format writes the cluster's id and first metadata. Data that is formatted already is left alone.
func (b *Broker) format(ctx context.Context, cluster string) error {
	if _, err := os.Stat(filepath.Join(b.Data(), "meta.properties")); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("format storage: %w", err)
	}
	cmd := exec.CommandContext(ctx, b.java, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", b.Classpath(),
		"kafka.tools.StorageTool", "format", "-t", cluster, "-c", b.path("server.properties"))
	cmd.Dir = b.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format storage: %w\n%s", err, out)
	}
	return nil
}
