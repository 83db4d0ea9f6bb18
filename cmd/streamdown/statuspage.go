package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/streamdown/streamdown/api"
)

// maxTopics bounds the table of topics on a page; the worst come first.
const maxTopics = 20

// writeStatus writes a status for people: the answer first, then where to look.
func writeStatus(w io.Writer, s *api.Status, color paint) {
	t, r := &s.Target, &s.Records
	fmt.Fprintf(w, "%s\n\n", headline(s, color))
	rows := []string{
		row("RECORDS", fmt.Sprintf("%d accepted, %d confirmed since %s ago", r.Accepted, r.Confirmed, age(s.Now.Sub(s.StartedAt)))),
		row("BACKLOG", backlog(r)),
		row("TARGET", target(s, color)),
		row("LOG", logLine(s)),
		row("CLIENTS", clients(s)),
		row("LISTEN", fmt.Sprintf("kafka %s, http %s", s.Listen.Kafka, s.Listen.HTTP)),
	}
	if t.Breaker != "closed" && t.BreakerWhy != "" {
		rows = slices.Insert(rows, 3, row("", plain(t.BreakerWhy)))
	}
	table(w, rows...)
	writeTopics(w, s)
	writeTrouble(w, s)
}

func row(cells ...string) string { return strings.Join(cells, "\t") }

// headline says in one line whether producers and the target are served.
func headline(s *api.Status, color paint) string {
	if !s.Ready {
		return color.bad("NOT ACKING") + "  " + plain(s.NotReady)
	}
	switch {
	case len(s.Log.Damage) > 0 || lostRecords(s) > 0:
		return color.bad("DAMAGED") + "  producers are acked; part of the log cannot be read (below)"
	case s.Target.Breaker == "open" || s.Target.Breaker == "half_open":
		return color.bad("TARGET AWAY") + "  producers are acked; " + count(s.Records.Backlog, "record") + " safe in the log"
	case s.Target.Breaker != "closed":
		return "TARGET NOT KNOWN  producers are acked"
	case stopped(s) > 0:
		return color.bad("STOPPED") + "  producers are acked; " + count(stopped(s), "lane") + " stopped (below)"
	case len(s.Holds) > 0:
		return "HELD  producers are acked; " + count(len(s.Holds), "hold") + " in force (below)"
	case s.Records.Backlog > 0 && !allLive(s):
		return "DRAINING  producers are acked; " + count(s.Records.Backlog, "record") + " to go"
	}
	return color.good("OK") + "  producers are acked, the target confirms"
}

func backlog(r *api.Records) string {
	if r.Backlog == 0 {
		return "none"
	}
	text := count(r.Backlog, "record")
	if r.BacklogBytes != nil {
		text += ", " + size(*r.BacklogBytes)
	}
	text += ", oldest " + seconds(r.OldestAge)
	return fmt.Sprintf("%s; only on this disk: %d", text, r.OnlyOnThisDisk)
}

func target(s *api.Status, color paint) string {
	t := &s.Target
	state := plain(t.Breaker)
	if t.Breaker == "closed" {
		state = color.good("up")
	} else if t.Breaker == "open" || t.Breaker == "half_open" {
		state = color.bad(map[string]string{"open": "down", "half_open": "coming back"}[t.Breaker])
	}
	text := plain(t.Name) + " " + state
	if t.BreakerSince != nil {
		text += " for " + age(s.Now.Sub(*t.BreakerSince))
	}
	cluster, looked := "never seen", "never"
	if t.ClusterID != nil {
		cluster = plain(*t.ClusterID)
	}
	if t.LookedAt != nil {
		looked = age(s.Now.Sub(*t.LookedAt)) + " ago"
	}
	return fmt.Sprintf("%s; cluster %s; looked at %s", text, cluster, looked)
}

func logLine(s *api.Status) string {
	l := &s.Log
	text := size(l.SizeBytes)
	if l.MaxSizeBytes > 0 {
		text += fmt.Sprintf(" of %s (%d%%)", size(l.MaxSizeBytes), l.SizeBytes*100/l.MaxSizeBytes)
	}
	text += fmt.Sprintf(" in %s, fsync p50 %s p99 %s; %s", count(l.Segments, "segment"), seconds(l.FsyncP50), seconds(l.FsyncP99), plain(l.Dir))
	if l.Failures > 0 {
		text += "; " + count(l.Failures, "failed write")
	}
	return text
}

func clients(s *api.Status) string {
	g := &s.Gateway
	text := fmt.Sprintf("%s, ack p50 %s p99 %s", count(g.Connections, "connection"), seconds(g.AckP50), seconds(g.AckP99))
	var refused uint64
	for _, n := range g.Refusals {
		refused += n
	}
	if refused > 0 {
		text += "; " + count(refused, "refusal")
	}
	return text
}

func stopped(s *api.Status) (n int) {
	for i := range s.Lanes {
		if s.Lanes[i].Stop != nil {
			n++
		}
	}
	return n
}

func lostRecords(s *api.Status) (n int64) {
	for i := range s.Lanes {
		for _, r := range s.Lanes[i].Lost {
			n += int64(r.To - r.From)
		}
	}
	return n
}

func allLive(s *api.Status) bool {
	return !slices.ContainsFunc(s.Lanes, func(l api.Lane) bool { return l.Backlog > 0 && !l.Live })
}

// writeTrouble names what a person has to look at.
func writeTrouble(w io.Writer, s *api.Status) {
	var lines []string
	for _, h := range s.Holds {
		lines = append(lines, fmt.Sprintf("held     %s for %s: %s", plain(h.Target), age(s.Now.Sub(h.Since)), plain(h.Reason)))
	}
	for i := range s.Lanes {
		l := &s.Lanes[i]
		if l.Stop != nil {
			lines = append(lines, stopLine(l, s.Now))
		}
		for _, r := range l.Lost {
			lines = append(lines, fmt.Sprintf("damaged  %s/%d: records %d to %d were lost to damage before they were sent", plain(l.Topic), l.Partition, r.From, r.To-1))
		}
	}
	for _, r := range s.Log.Damage {
		lines = append(lines, fmt.Sprintf("damaged  log bytes %d to %d; streamdown wal verify has the details", r.From, r.To-1))
	}
	if len(lines) == 0 {
		return
	}
	fmt.Fprintln(w)
	for _, line := range lines[:min(len(lines), maxTopics)] {
		fmt.Fprintln(w, line)
	}
	if n := len(lines) - maxTopics; n > 0 {
		fmt.Fprintf(w, "... and %d more; --format json has all\n", n)
	}
}

func stopLine(l *api.Lane, now time.Time) string {
	next := fmt.Sprintf("streamdown resume %s/%d tries again", plain(l.Topic), l.Partition)
	if l.Stop.Retry {
		next = "tries again by itself"
	}
	return fmt.Sprintf("stopped  %s/%d for %s: %s (Kafka error %d); %s",
		plain(l.Topic), l.Partition, age(now.Sub(l.Stop.At)), plain(l.Stop.Reason), l.Stop.Code, next)
}
