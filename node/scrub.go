package node

import (
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/wal"
)

// scrubStatus tells what reading the log again found. Whether what is damaged is confirmed by now is asked anew each time.
func scrubStatus(s *wal.Scrubber, rate config.Rate, watermark streamdown.LSN) *api.Scrub {
	if s == nil {
		return &api.Scrub{}
	}
	st := s.Stats()
	out := &api.Scrub{
		BytesPerSecond: int64(rate), Way: string(st.Way), CheckedBytes: st.Bytes, Passes: st.Passes, Found: st.Found,
		Ranges: st.Ranges, Trouble: st.Trouble, WholeAt: moment(st.WholeAt),
	}
	if st.Passes > 0 {
		out.WholeBytes = &st.WholeBytes
	}
	if !st.Began.IsZero() {
		out.Pass = &api.ScrubPass{Since: st.Began.UTC(), Done: st.Done, Total: st.Total}
	}
	for _, d := range st.Damage {
		out.Damage = append(out.Damage, api.Rot{
			Kind: d.Kind, Segment: d.Segment, FromByte: d.From, ToByte: d.To, From: d.FromLSN, To: d.ToLSN, Detail: d.Detail,
			FirstSeen: d.FirstSeen.UTC(), Confirmed: d.Confirmed(watermark),
		})
	}
	return out
}

// moment returns nil for the zero time, which means that it was never.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
