package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/ui"
)

// maxTopics bounds the table of topics on a page; the worst come first.
const maxTopics = 20

// writeStatus writes a status for people: the answer first, then where to look.
func writeStatus(w io.Writer, s *api.Status, paint ui.Paint) {
	t, r := &s.Target, &s.Records
	fmt.Fprintf(w, "%s\n\n", headline(s, paint))
	rows := []string{
		row("RECORDS", fmt.Sprintf("%s accepted, %s confirmed since the start %s ago", ui.Exact(r.Accepted), ui.Exact(r.Confirmed), since(s.Now, s.StartedAt))),
		row("BACKLOG", backlog(r)),
		row("TARGET", target(s, paint)),
		row("LOG", logLine(s)),
		row("SCRUB", scrubLine(s)),
		row("CLIENTS", clients(s)),
		row("LISTEN", listening(&s.Listen)),
	}
	if t.Breaker != "closed" && t.BreakerWhy != "" {
		rows = slices.Insert(rows, 3, row("", plain(t.BreakerWhy)))
	}
	table(w, withLedger(rows, s)...)
	writeTopics(w, s)
	writeTrouble(w, s)
}

// headline says in one line whether producers and the target are served.
func headline(s *api.Status, paint ui.Paint) string {
	if !s.Ready {
		return paint.Bad("NOT ACKING") + "  " + plain(s.NotReady)
	}
	switch {
	case len(s.Log.Damage) > 0 || lostRecords(s) > 0:
		return paint.Bad("DAMAGED") + "  producers are acked; part of the log cannot be read (below)"
	case urgentRot(s.Log.Scrub) > 0:
		return paint.Bad("ROT") + "  producers are acked; the disk lost part of the log, which may hold records that are nowhere else (below)"
	case rolledBack(s):
		return paint.Bad("ROLLED BACK OR COPIED") + "  producers are acked; another process wrote in this log's name (below)"
	case s.Target.Breaker == "open" || s.Target.Breaker == "half_open":
		return paint.Bad("TARGET AWAY") + "  " + count(s.Records.Backlog, "record") + " safe in the log; producers are acked, but for streams with when_isolated: reject"
	case s.Target.Breaker != "closed":
		return "TARGET NOT KNOWN  producers are acked"
	case stopped(s) > 0:
		return paint.Bad("STOPPED") + "  producers are acked; " + count(stopped(s), "lane") + " stopped (below)"
	case s.Quarantine.Batches > 0:
		return paint.Bad("QUARANTINE") + "  producers are acked; the target refuses " + count(s.Quarantine.Records, "record") + " for good (below)"
	case len(s.Holds) > 0:
		return "HELD  producers are acked; " + count(len(s.Holds), "hold") + " in force (below)"
	case s.Records.Backlog > 0 && !allLive(s):
		return "DRAINING  producers are acked; " + count(s.Records.Backlog, "record") + " to go"
	}
	return paint.Good("OK") + "  producers are acked, the target confirms"
}

func backlog(r *api.Records) string {
	if r.Backlog == 0 {
		if r.OnlyOnThisDisk > 0 {
			return "none; only on this disk: " + ui.Exact(r.OnlyOnThisDisk)
		}
		return "none"
	}
	text := count(r.Backlog, "record")
	if r.BacklogBytes != nil {
		text += ", " + ui.Bytes(float64(*r.BacklogBytes))
	}
	text += ", oldest " + seconds(r.OldestAge)
	return fmt.Sprintf("%s; only on this disk: %s", text, ui.Exact(r.OnlyOnThisDisk))
}

func target(s *api.Status, paint ui.Paint) string {
	t := &s.Target
	state := plain(t.Breaker)
	if t.Breaker == "closed" {
		state = paint.Good("up")
	} else if t.Breaker == "open" || t.Breaker == "half_open" {
		state = paint.Bad(map[string]string{"open": "down", "half_open": "coming back"}[t.Breaker])
	}
	text := plain(t.Name) + " " + state
	if t.BreakerSince != nil {
		text += " for " + since(s.Now, *t.BreakerSince)
	}
	cluster, looked := "never seen", "never"
	if t.ClusterID != nil {
		cluster = plain(*t.ClusterID)
	}
	if t.LookedAt != nil {
		looked = since(s.Now, *t.LookedAt) + " ago"
	}
	return fmt.Sprintf("%s; cluster %s; looked at %s", text, cluster, looked)
}

func logLine(s *api.Status) string {
	l := &s.Log
	text := ui.Bytes(float64(l.SizeBytes))
	if l.MaxSizeBytes > 0 {
		text += fmt.Sprintf(" of %s (%d%%)", ui.Bytes(float64(l.MaxSizeBytes)), l.SizeBytes*100/l.MaxSizeBytes)
	}
	text += fmt.Sprintf(" in %s, fsync p50 %s p99 %s; %s", count(l.Segments, "segment"), seconds(l.FsyncP50), seconds(l.FsyncP99), plain(l.Dir))
	if l.RoomSeconds != nil {
		text += "; room for " + ui.Seconds(time.Duration(min(*l.RoomSeconds, 1e8))*time.Second) + " at this rate"
	}
	if l.Failures > 0 {
		text += "; " + count(l.Failures, "failed write")
	}
	if l.WaitingSeconds > 1 && l.Stuck == "" {
		text += fmt.Sprintf("; a write has been waiting for %.0f s: the disk is slow or hangs", l.WaitingSeconds)
	}
	if r := l.Refuge; r != nil {
		text += fmt.Sprintf("; IN ITS REFUGE %s for %s: %s", plain(r.Dir), since(s.Now, r.Since), plain(r.Why))
	}
	return text
}

func clients(s *api.Status) string {
	g := &s.Gateway
	text := count(g.Connections, "connection")
	if users := len(g.Users); users > 0 && (users > 1 || g.Users[""] == 0) {
		text += " " + ofUsers(g.Users)
	}
	text += fmt.Sprintf(", ack p50 %s p99 %s", seconds(g.AckP50), seconds(g.AckP99))
	var refused uint64
	for _, n := range g.Refusals {
		refused += n
	}
	if refused > 0 {
		text += "; " + count(refused, "refusal")
	}
	return text
}

// maxNamed is how many users a line names.
const maxNamed = 5

// ofUsers names those with the most connections.
func ofUsers(users map[string]int64) string {
	names := make([]string, 0, len(users))
	for name := range users {
		if name != "" {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(users[b], users[a]), strings.Compare(a, b)) })
	var parts []string
	for _, name := range names[:min(len(names), maxNamed)] {
		parts = append(parts, fmt.Sprintf("%s %d", plain(name), users[name]))
	}
	if more := len(names) - maxNamed; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more users", more))
	}
	if n := users[""]; n > 0 {
		parts = append(parts, fmt.Sprintf("not logged in %d", n))
	}
	return "(" + strings.Join(parts, ", ") + ")"
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

// rolledBack reports whether the data directory was seen to be rolled back or copied since the process started.
func rolledBack(s *api.Status) bool {
	return slices.ContainsFunc(s.Log.Renewals, func(r api.Renewal) bool { return !r.At.Before(s.StartedAt) }) ||
		slices.ContainsFunc(s.Lanes, func(l api.Lane) bool { return len(l.Foreign) > 0 })
}

func foreignLine(l *api.Lane, f *api.Foreign) string {
	text := fmt.Sprintf("foreign  %s/%d: offsets %d to %d of the target hold %s that this log does not have",
		plain(l.Topic), l.Partition, f.Offset, f.End-1, count(f.Records, "record"))
	if f.From >= 0 {
		text += fmt.Sprintf(" (as its ordinals %d to %d)", f.From, f.To-1)
	}
	return text
}

func allLive(s *api.Status) bool {
	return !slices.ContainsFunc(s.Lanes, func(l api.Lane) bool { return l.Backlog > 0 && !l.Live })
}

// writeTrouble names what a person has to look at.
func writeTrouble(w io.Writer, s *api.Status) {
	var lines []string
	for _, h := range s.Holds {
		lines = append(lines, fmt.Sprintf("held     %s for %s: %s", plain(h.Target), since(s.Now, h.Since), plain(h.Reason)))
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
	for i := range s.Lanes {
		if l := &s.Lanes[i]; l.Quarantined.Batches > 0 {
			lines = append(lines, fmt.Sprintf("quarantine  %s/%d: %s, %s; streamdown quarantine ls tells why", plain(l.Topic), l.Partition,
				countOf(l.Quarantined.Batches, "batch", "batches"), count(l.Quarantined.Records, "record")))
		}
	}
	for i := range s.Lanes {
		for j := range s.Lanes[i].Foreign {
			lines = append(lines, foreignLine(&s.Lanes[i], &s.Lanes[i].Foreign[j]))
		}
	}
	for _, r := range s.Log.Renewals {
		lines = append(lines, fmt.Sprintf("copied   the log took a new id %s ago, it was %s: its directory was rolled back or copied; if a process runs on another copy, stop one of them",
			since(s.Now, r.At), plain(r.Was)))
	}
	lines = append(lines, rotLines(s)...)
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
		plain(l.Topic), l.Partition, since(now, l.Stop.At), plain(l.Stop.Reason), l.Stop.Code, next)
}

// listening says where clients come in; of priorities only when there are several.
func listening(l *api.Listen) string {
	if len(l.Classes) < 2 {
		return fmt.Sprintf("kafka %s, http %s", l.Kafka, l.HTTP)
	}
	var b strings.Builder
	for _, c := range l.Classes {
		fmt.Fprintf(&b, "kafka %s (%s), ", c.Address, c.Priority)
	}
	return b.String() + "http " + l.HTTP
}
