package main

import (
	"fmt"

	"github.com/streamdown/streamdown/reconcile"
)

// claims are what one side says of one partition.
type claims struct{ lost, doubled, reordered set }

// claimed is what reconcile says, by partition. What it calls pending is lost as far as a reader of Kafka can see.
// unlisted counts the ranges that the report counts and does not name.
func claimed(rep *reconcile.Report, topic string) (parts map[int32]*claims, unlisted int64) {
	parts = map[int32]*claims{}
	of := func(p int32) *claims {
		if parts[p] == nil {
			parts[p] = &claims{}
		}
		return parts[p]
	}
	for _, p := range rep.Partitions {
		if p.Topic == topic && p.Confirmed < p.End {
			of(p.Partition).lost.add(uint64(p.Confirmed), uint64(p.End)) //nolint:gosec // ordinals are not negative
		}
	}
	for _, r := range rep.Worst {
		if r.Topic != topic || r.From < 0 {
			continue
		}
		c, from, to := of(r.Partition), uint64(r.From), uint64(r.To) //nolint:gosec // not negative
		switch r.Verdict {
		case reconcile.Absent:
			c.lost.add(from, to)
		case reconcile.Doubled:
			c.doubled.add(from, to)
		case reconcile.Reordered, reconcile.Late: // declared or not, a reader finds it behind others
			c.reordered.add(from, to)
		case reconcile.Identical, reconcile.Rewritten, reconcile.Pending, reconcile.NotComparable, reconcile.Foreign, reconcile.Altered:
		}
	}
	return parts, rep.RangeCount - int64(len(rep.Worst))
}

// totals counts the records that the sums of a report do not say the same of, for one that names too few of its ranges.
func totals(found []*claims, sums *reconcile.Sums) (n uint64, lines []string) {
	var lost, doubled, reordered uint64
	for _, f := range found {
		lost, doubled, reordered = lost+f.lost.size(), doubled+f.doubled.size(), reordered+f.reordered.size()
	}
	for _, d := range []struct {
		what  string
		found uint64
		said  int64
	}{
		{"lost", lost, sums.Absent.Records + sums.Pending.Records}, {"doubled", doubled, sums.Doubled.Records},
		{"reordered", reordered, sums.Reordered.Records + sums.Late.Records},
	} {
		if said := uint64(d.said); d.found != said { //nolint:gosec // counts
			n += max(d.found, said) - min(d.found, said)
			lines = append(lines, fmt.Sprintf("%d records are %s, %d are reported", d.found, d.what, said))
		}
	}
	return n, lines
}

// differ counts the records that the two sides do not say the same of, with a line for each range. When not all is
// named, only what is named and not so counts.
func differ(partition int32, found, said *claims, all bool) (n uint64, lines []string) {
	for _, d := range []struct {
		what        string
		found, said *set
	}{
		{"lost", &found.lost, &said.lost}, {"doubled", &found.doubled, &said.doubled}, {"reordered", &found.reordered, &said.reordered},
	} {
		silent, invented := d.found.without(d.said), d.said.without(d.found)
		if !all {
			silent = &set{}
		}
		n += silent.size() + invented.size()
		for _, s := range silent.list() {
			lines = append(lines, fmt.Sprintf("partition %d ordinals %s are %s and not reported", partition, s, d.what))
		}
		for _, s := range invented.list() {
			lines = append(lines, fmt.Sprintf("partition %d ordinals %s are reported as %s and are not", partition, s, d.what))
		}
	}
	return n, lines
}
