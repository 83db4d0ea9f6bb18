package rescue_test

import (
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/test/rescue"
)

// A repeat is the client's only if its record was unanswered while something was down.
func TestOnlyRepeatsOfDoubtfulRecordsAreExplained(t *testing.T) {
	tp := streamdown.TopicPartition{Topic: "t"}
	stream := check.Stream{Producer: 1}
	for _, c := range []struct {
		name   string
		repeat uint64
		want   int
	}{
		{"acked before the fault", 4, 1},
		{"unanswered when it began", 5, 0},
		{"sent while it lasted", 12, 0},
		{"sent after it", 15, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			checker := check.New(check.Config{})
			checker.Expect(stream, check.AtLeastOnce)
			j := rescue.NewJournal(checker)
			j.Sent(stream, 9)
			for seq := range uint64(5) {
				j.Acked(stream, seq)
			}
			j.DoubtBegins()
			j.Sent(stream, 14)
			j.DoubtEnds()
			j.Sent(stream, 19)
			offset := streamdown.Offset(0)
			see := func(seq uint64) {
				j.Seen(tp, offset, check.AppendRecord(nil, check.Record{Producer: 1, Seq: seq}))
				offset++
			}
			for seq := range uint64(20) {
				see(seq)
			}
			if got := j.Unexplained(); len(got) != 0 {
				t.Fatalf("without a repeat: %v", got)
			}
			see(c.repeat)
			if got := j.Unexplained(); len(got) != c.want {
				t.Errorf("unexplained %v, want %d", got, c.want)
			}
		})
	}
}
