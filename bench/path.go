package main

// path is one way of a record from the producer on.
type path struct {
	Name     string
	Title    string
	Acks     string // the gateway's ack level; empty = there is no gateway
	Embedded bool   // the broker stores nothing
	AckMeans string // what an acked record survives
}

// allPaths in the order in which they are shown. Each gateway stands behind the broker that it forwards to.
var allPaths = []path{
	{Name: "kafka", Title: "straight to Kafka", AckMeans: "in the page cache of 1 broker, not synced"},
	{Name: "wal", Title: "gateway acks: wal → Kafka", Acks: "wal", AckMeans: "synced to the gateway's disk"},
	{Name: "remote", Title: "gateway acks: remote → Kafka", Acks: "remote", AckMeans: "synced to the gateway's disk, and acked by Kafka"},
	{Name: "embedded", Title: "straight to nothing", Embedded: true, AckMeans: "nowhere: the broker stores nothing"},
	{Name: "embedded-wal", Title: "gateway acks: wal → nothing", Acks: "wal", Embedded: true, AckMeans: "synced to the gateway's disk"},
}

// diskName names the bare disk in -only.
const diskName = "disk"

func pathNames() []string {
	names := make([]string, len(allPaths))
	for i := range allPaths {
		names[i] = allPaths[i].Name
	}
	return names
}

// straight is the path without the gateway that p is compared with.
func (p *path) straight() string {
	if p.Embedded {
		return "embedded"
	}
	return "kafka"
}

// mode is how load is offered.
type mode string

const (
	modeMax   mode = "max"   // as fast as it is taken
	modePaced mode = "paced" // so many records per second
)

// cell is one thing to measure, once per round.
type cell struct {
	path path
	mode mode
	size int // bytes of a record's value
}

// cells lists what a round measures. Paths of one size and mode stand together, as they are compared.
func (o *options) cells() (all []cell) {
	for _, m := range o.modes {
		sizes := o.sizes
		if m == modePaced {
			sizes = []int{o.pacedSize}
		}
		for _, size := range sizes {
			for _, p := range o.paths() {
				all = append(all, cell{p, m, size})
			}
		}
	}
	return all
}

// rotated returns the cells with the paths of each size and mode moved on by n places, so that no path is always the
// one that follows Kafka's dirty pages.
func rotated(cells []cell, n int) []cell {
	out := make([]cell, 0, len(cells))
	for len(cells) > 0 {
		k := 1
		for k < len(cells) && cells[k].mode == cells[0].mode && cells[k].size == cells[0].size {
			k++
		}
		for i := range k {
			out = append(out, cells[(i+n)%k])
		}
		cells = cells[k:]
	}
	return out
}
