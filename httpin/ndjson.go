package httpin

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"

	"github.com/streamdown/streamdown"
)

// lines reads NDJSON: a record for each line that is not empty. As values, each line is the record's value as it stands;
// otherwise it is an object that describes a record. All lines are read before any is stored, and a problem names those
// that are wrong.
func (r *request) lines(asRecords bool, depth, most int) *Problem {
	var wrong *Problem
	rest := r.body
	for {
		rest = bytes.TrimLeft(rest, " \t\r\n") // a body of nothing else is passed over at once
		if len(rest) == 0 {
			return wrong
		}
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		line = bytes.TrimRight(line, " \t\r")
		at := len(r.records)
		if at >= most {
			return tooMany(most)
		}
		rec := r.add()
		var err error
		if asRecords {
			err = r.lineRecord(line, rec, depth)
		} else {
			s := scanner{b: line, depth: depth}
			if err = s.skip(); err == nil {
				err = s.end()
			}
			rec.value = line
		}
		if err == nil {
			continue
		}
		if wrong == nil {
			wrong = asProblem(err)
			wrong = wrong.of(at)
		} else if wrong.Errors = append(wrong.Errors, recordProblem{at, lineDetail(err)}); len(wrong.Errors) == maxErrors {
			return wrong
		}
	}
}

func lineDetail(err error) string {
	if p := (*Problem)(nil); errors.As(err, &p) {
		return p.Detail
	}
	return err.Error()
}

// The members of a line that describes a record.
const (
	sawKey = 1 << iota
	sawValue
	sawHeaders
	sawPartition
	sawTimestamp
)

// lineRecord reads {"key":…,"value":…,"headers":{…},"partition":n,"timestamp":ms}; all may be missing but value. A
// string stands for its text, null for none, anything else for its JSON as it was written.
func (r *request) lineRecord(line []byte, rec *record, depth int) error {
	s := scanner{b: line, depth: depth}
	saw := 0
	once := func(bit int, name string) error {
		if saw&bit != 0 {
			return invalid("%s is there twice", name)
		}
		saw |= bit
		return nil
	}
	err := s.object(func(name []byte) (err error) {
		switch string(name) {
		case "key":
			if err = once(sawKey, "key"); err == nil {
				rec.key, err = r.lineField(&s)
			}
		case "value":
			if err = once(sawValue, "value"); err == nil {
				rec.value, err = r.lineField(&s)
			}
		case "headers":
			if err = once(sawHeaders, "headers"); err == nil {
				err = r.lineHeaders(&s, rec)
			}
		case "partition":
			if err = once(sawPartition, "partition"); err == nil {
				var n int64
				n, err = whole(&s, "partition", 1<<31-1)
				rec.partition = int32(n) //nolint:gosec // 31 bits
			}
		case "timestamp":
			if err = once(sawTimestamp, "timestamp"); err == nil {
				rec.timestamp, err = whole(&s, "timestamp", 1<<63-1)
			}
		default:
			return invalid("unknown member %q; known are key, value, headers, partition and timestamp", streamdown.Shorten(string(name), 60))
		}
		return err
	})
	if err == nil {
		err = s.end()
	}
	if err == nil && saw&sawValue == 0 {
		return invalid("value is missing; null makes a tombstone")
	}
	return err
}

// lineField reads a key, a value or a header's value.
func (r *request) lineField(s *scanner) ([]byte, error) {
	switch s.peek() {
	case '"':
		raw, err := s.quoted()
		if err != nil {
			return nil, err
		}
		text, err := unquote(&r.arena, raw)
		if text == nil && err == nil {
			text = []byte{}
		}
		return text, err
	case 'n':
		return nil, s.skip()
	}
	return s.value()
}

func (r *request) lineHeaders(s *scanner, rec *record) error {
	if s.peek() == 'n' {
		return s.skip()
	}
	return s.object(func(name []byte) error {
		key, err := unquote(&r.arena, name)
		if err != nil {
			return err
		}
		value, err := r.lineField(s)
		if err != nil {
			return err
		}
		r.header(rec, key, value)
		return nil
	})
}

// whole reads a whole number from 0 to limit, or null: -1.
func whole(s *scanner, name string, limit int64) (int64, error) {
	if s.peek() == 'n' {
		return -1, s.skip()
	}
	raw, err := s.value()
	if err != nil {
		return 0, err
	}
	if len(raw) <= 19 {
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil && n >= 0 && n <= limit && raw[0] != '-' {
			return n, nil
		}
	}
	return 0, invalid("%s is %s, not a whole number from 0 to %d", name, streamdown.Shorten(string(raw), 40), limit)
}

// linesForm reads ?lines=.
func linesForm(q queryValues) (asRecords bool, p *Problem) {
	switch v, there := q["lines"]; {
	case !there || v == "value":
		return false, nil
	case v == "record":
		return true, nil
	default:
		return false, refuse(http.StatusBadRequest, "query", "malformed query", "?lines=value or ?lines=record", "lines=%q is not known", streamdown.Shorten(v, 60))
	}
}
