package node

import (
	"cmp"
	"slices"

	"github.com/streamdown/streamdown/api"
)

// httpStatus tells what came over HTTP.
func (n *Node) httpStatus() api.HTTP {
	st := n.door.Stats()
	h := api.HTTP{
		Records: st.Records, BytesIn: st.BytesIn, OpenBytes: st.OpenBytes, Held: st.Held, Replays: st.Replays,
		Latency: api.Histogram{Counts: st.Latency.Counts, Sum: st.Latency.Sum.Seconds()},
	}
	for _, b := range st.Latency.Bounds {
		h.Latency.Bounds = append(h.Latency.Bounds, b.Seconds())
	}
	for kind, count := range st.Requests {
		h.Requests = append(h.Requests, api.HTTPRequests{Route: kind.Route, Status: kind.Status, Count: count})
	}
	slices.SortFunc(h.Requests, func(a, b api.HTTPRequests) int {
		return cmp.Or(cmp.Compare(a.Route, b.Route), a.Status-b.Status)
	})
	n.guard.Fill(&h)
	return h
}
