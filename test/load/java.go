package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/streamdown/streamdown/test/javaload"
	"github.com/streamdown/streamdown/test/process"
)

// java is the Java producer in a process of its own, see test/javaload.
type java struct {
	tally *tally
	proc  *process.Process
}

func startJava(s Spec, t *tally) (sender, error) {
	if s.Classpath == "" {
		return nil, errors.New("no class path for Kafka's Java client; take that of the broker")
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, err
	}
	source := filepath.Join(s.Dir, "Load.java")
	if err := os.WriteFile(source, javaload.Source, 0o644); err != nil {
		return nil, err
	}
	args := []string{
		"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
		"-cp", s.Classpath, source,
		"bootstrap=" + s.Bootstrap, "topic=" + s.Topic, "acks=" + s.Acks, "compression=" + s.Compression,
		fmt.Sprintf("producer=%d", s.Producer), fmt.Sprintf("incarnation=%d", s.Incarnation),
		fmt.Sprintf("size=%d", s.Size), fmt.Sprintf("idempotent=%t", s.Idempotent), fmt.Sprintf("inflight=%d", s.InFlight),
	}
	for p := range s.Partitions {
		args = append(args, fmt.Sprintf("target.%d=%x", p, s.target(p)))
	}
	for key, value := range s.Properties {
		args = append(args, "conf."+key+"="+value)
	}
	j := &java{tally: t}
	var err error
	j.proc, err = process.Start(process.Options{
		Path: "java", Args: args, Log: filepath.Join(s.Dir, "java.log"), Stdin: true, Stdout: j.line,
	})
	if err != nil {
		return nil, fmt.Errorf("%w; install Java 17 or newer with its compiler (Debian: apt-get install default-jdk-headless)", err)
	}
	return j, nil
}

func (j *java) grant(ctx context.Context, partition int32, from, to uint64) error {
	if _, err := fmt.Fprintf(j.proc.Stdin, "G %d %d %d\n", partition, from, to); err != nil {
		return errors.Join(fmt.Errorf("grant records: %w", err), j.proc.Wait(ctx))
	}
	return nil
}

func (j *java) finish(ctx context.Context) error {
	if err := j.proc.Stdin.Close(); err != nil {
		return err
	}
	return j.proc.Wait(ctx)
}

func (j *java) abort() { _ = j.proc.Kill() }

// line takes one answer of Load.java.
func (j *java) line(line []byte) {
	kind, rest, _ := bytes.Cut(line, []byte(" "))
	first, rest, _ := bytes.Cut(rest, []byte(" "))
	second, third, _ := bytes.Cut(rest, []byte(" "))
	n, err := strconv.ParseInt(string(first), 10, 64)
	switch {
	case err != nil:
	case string(kind) == "A":
		if seq, err := strconv.ParseUint(string(second), 10, 64); err == nil {
			j.tally.acked(int32(n), seq)
			return
		}
	case string(kind) == "F":
		j.tally.failed(int32(n), string(third))
		return
	case string(kind) == "R":
		j.tally.retried(n)
		return
	}
	// Something else that was printed belongs to the log, where a person looks.
	if f, err := os.OpenFile(j.proc.Log(), os.O_APPEND|os.O_WRONLY, 0o644); err == nil {
		_, _ = io.WriteString(f, string(line)+"\n")
		_ = f.Close()
	}
}
