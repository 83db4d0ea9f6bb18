package reconcile

import "fmt"

// Verdict says what became of a range of records. Higher is worse.
type Verdict uint8

// Every record of the log gets exactly one verdict of these; Doubled and Foreign are said of what the target holds
// besides.
const (
	Identical     Verdict = iota // there, byte for byte
	Rewritten                    // there, with the same records in other bytes: recompressed, cut elsewhere
	Late                         // there, behind later records, under an identity that the log declares for that
	Pending                      // not there and not confirmed: the lane has a backlog
	NotComparable                // cannot be said; the reason tells why
	Reordered                    // there, behind a later record of its lane
	Doubled                      // there once more
	Foreign                      // ours by producer id and epoch, and not in the log: was the directory rolled back?
	Altered                      // there, with other content
	Absent                       // not there, though confirmed or passed by a later one
	verdicts
)

var verdictNames = [verdicts]string{
	"identical", "rewritten", "late", "pending", "not comparable", "reordered", "doubled", "foreign", "altered", "absent",
}

func (v Verdict) String() string {
	if v < verdicts {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// MarshalText makes the verdict's name its JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (v *Verdict) UnmarshalText(b []byte) error {
	for i, name := range verdictNames {
		if name == string(b) {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("unknown verdict %q", b)
}

// Violation reports whether the verdict breaks a promise.
func (v Verdict) Violation() bool { return v >= Reordered && v < verdicts }

// Reason says why a range is not comparable.
type Reason string

// Reasons. The first three come with the settings of log and topic, the next two were declared; the others leave open what
// should be known.
const (
	Trimmed    Reason = "below the start of the topic's log"
	Compacted  Reason = "compacted away"
	Released   Reason = "payload released from the log"
	Quarantine Reason = "in quarantine"
	Discarded  Reason = "discarded by an order"
	LogDamaged Reason = "damaged in the log"
	NoDigest   Reason = "in other bytes than were sent, and the log has released the payload"
	Unlisted   Reason = "released from the log, and the ledger has no whole row of it"
	Forgotten  Reason = "sent under an identity that the log does not remember"
	OtherTopic Reason = "sent to a topic or cluster that is not the one there now"
	TooMany    Reason = "came late, behind more missing batches than are kept to compare with"
	NoTopic    Reason = "the topic does not exist at the target"
)

// Expected reports whether the reason follows from what log and topic are set to keep, or was declared.
func (r Reason) Expected() bool {
	switch r {
	case Trimmed, Compacted, Released, Quarantine, Discarded:
		return true
	}
	return false
}
