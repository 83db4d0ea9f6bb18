package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/streamdown/streamdown/test/process"
)

// patience is how long a client may take for a cell, or half of one.
const patience = 90 * time.Second

// session is a running client.
type session struct {
	// Name, Version and Runtime are the client's own words.
	Name, Version, Runtime string

	proc  *process.Process
	lines chan []string // fields of what it printed; more than fit are never printed by a client that is well
}

func (c Client) start(ctx context.Context, sources, cache, dir string) (*session, error) {
	argv, err := c.command(ctx, sources, cache)
	if err != nil {
		return nil, err
	}
	s := &session{lines: make(chan []string, 16)}
	s.proc, err = process.Start(process.Options{
		Path: argv[0], Args: argv[1:], Log: filepath.Join(dir, c.Key+".log"), Stdin: true,
		Env: []string{"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "KAFKAJS_NO_PARTITIONER_WARNING=1"},
		Stdout: func(line []byte) {
			select {
			case s.lines <- strings.Split(string(line), "\t"):
			default:
			}
		},
	})
	if err != nil {
		return nil, err
	}
	hello, err := s.hear(ctx)
	if err == nil && (len(hello) != 4 || hello[0] != "hello") {
		err = fmt.Errorf("it began with %q", hello)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", c.Key, err), s.proc.Kill())
	}
	s.Name, s.Version, s.Runtime = hello[1], hello[2], hello[3]
	return s, nil
}

func (s *session) hear(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case line := <-s.lines:
		return line, nil
	case <-s.proc.Done():
		return nil, errors.Join(errors.New("the client ended"), s.proc.Err())
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer within %v", patience)
	}
}

func (s *session) say(line string) error {
	_, err := io.WriteString(s.proc.Stdin, line)
	return err
}

// run has a cell sent and returns how that ended. An error means that the client must be started again.
func (s *session) run(ctx context.Context, d *Doors, topic string, c Cell) (Outcome, error) {
	out := Outcome{Cell: c, Verdict: Failed}
	before, err := d.ends(ctx, topic)
	if err != nil {
		return out, err
	}
	if err := s.say(c.line(d, topic)); err != nil {
		return out, err
	}
	answer, err := s.hear(ctx)
	if err == nil && answer[0] == "half" {
		if err = d.broker.Stop(ctx); err == nil {
			err = s.say("go\n")
		}
		if err == nil {
			answer, err = s.hear(ctx)
		}
		err = errors.Join(err, d.broker.Restart(ctx))
	}
	if err != nil {
		out.Why = err.Error()
		return out, err
	}
	switch rest := strings.Join(answer[1:], " "); answer[0] {
	case "lacks":
		out.Verdict, out.Why = Lacks, rest
	case "done":
		if n, err := strconv.Atoi(rest); err != nil || n != Partitions*Records {
			out.Why = rest + " records were acked"
		} else if wrong := d.compare(ctx, topic, before, c.Codec); wrong != nil {
			out.Why = wrong.Error()
		} else {
			out.Verdict = Passed
		}
	default:
		out.Why = strings.Join(answer[1:], " ")
	}
	return out, nil
}
