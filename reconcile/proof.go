package reconcile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/ledger"
	"github.com/streamdown/streamdown/wal"
)

// ProofFormat is the format of proofs that this version writes. Fields are only added to it.
const ProofFormat = "streamdown-proof/1"

// maxProofRanges bounds the ranges in a proof.
const maxProofRanges = 10_000

// Proof is a report to be kept and checked: with all ranges, the vectors that it belongs to, and by which means each partition
// was compared. Its SHA-256 goes into the log ([Noted]), so that the log can tell later that it made this proof, and when.
type Proof struct {
	Format  string  `json:"format"`
	Tool    string  `json:"tool"` // the version that made it
	Command string  `json:"targets"`
	Report  *Report `json:"report"`
	Ranges  []Range `json:"ranges"`          // neither identical nor pending, in order of finding
	LeftOut int64   `json:"ranges_left_out"` // beyond the first 10,000; all are counted in the report
}

// Collect adds a range; it is a Config.Found.
func (p *Proof) Collect(x Range) {
	if len(p.Ranges) >= maxProofRanges {
		p.LeftOut++
		return
	}
	p.Ranges = append(p.Ranges, x)
}

// Encode returns the proof's file, and what the log is to note of it.
func (p *Proof) Encode() ([]byte, Noted, error) {
	p.Format = ProofFormat
	if p.Ranges == nil {
		p.Ranges = []Range{}
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, Noted{}, fmt.Errorf("write proof: %w", err)
	}
	b = append(b, '\n')
	t := &p.Report.Total
	return b, Noted{
		SHA256: sumOf(b), Verdict: p.Report.Verdict, Accepted: t.Accepted, Compared: t.Compared, At: p.Report.At,
	}, nil
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// ParseProof reads a proof's file.
func ParseProof(b []byte) (*Proof, error) {
	var p Proof
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("read proof: %w", err)
	}
	if p.Format != ProofFormat || p.Report == nil {
		return nil, fmt.Errorf("read proof: its format is %.40q, want %q", p.Format, ProofFormat)
	}
	return &p, nil
}

// Noted is what the log knows of a proof: the body of a wal.KindProof entry, as JSON.
type Noted struct {
	SHA256   string    `json:"sha256"` // of the file
	Verdict  string    `json:"verdict"`
	Accepted int64     `json:"accepted_records"`
	Compared int64     `json:"compared_records"`
	At       time.Time `json:"at"` // when the ends were pinned
}

// Check says what is wrong with what somebody wants to be noted.
func (n *Noted) Check() error {
	if sum, err := hex.DecodeString(n.SHA256); err != nil || len(sum) != sha256.Size {
		return errors.New("sha256 is not 64 hexadecimal digits")
	}
	switch n.Verdict {
	case "proved", "incomplete", "violated", "not checked":
	default:
		return fmt.Errorf("verdict %.40q is none", n.Verdict)
	}
	if n.Compared < 0 || n.Accepted < n.Compared {
		return errors.New("more records were compared than accepted")
	}
	return nil
}

// Entry is the log entry that notes a proof.
func (n *Noted) Entry() (*wal.Entry, error) {
	if err := n.Check(); err != nil {
		return nil, fmt.Errorf("note proof: %w", err)
	}
	b, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("note proof: %w", err)
	}
	return &wal.Entry{Kind: wal.KindProof, Body: b}, nil
}

// ErrNotNoted says that a proof's file is not one that the log knows: it was changed, or is of another log, or older than
// what the ledger keeps.
var ErrNotNoted = errors.New("the log knows no proof with this SHA-256")

// FindNoted looks for the entry that notes a proof's file, and returns it with when and where the log took it.
func FindNoted(ctx context.Context, log *wal.Reader, rows *ledger.Reader, file []byte) (n Noted, at streamdown.LSN, when time.Time, err error) {
	s := source{log: log, ledger: rows}
	if rows != nil && rows.Empty() {
		s.ledger = nil
	}
	from := log.First()
	if s.ledger != nil {
		from = 0
	}
	want, found := sumOf(file), false
	_, _, err = s.walk(ctx, from, toEnd, visitor{
		row: func(r *ledger.Row) error {
			var x Noted
			if r.Kind == wal.KindProof && !found && json.Unmarshal(r.Body, &x) == nil && x.SHA256 == want {
				n, at, when, found = x, r.LSN, time.UnixMilli(r.Arrival).UTC(), true
			}
			return nil
		},
		hole: func(Reason) {},
	})
	if err == nil && !found {
		err = fmt.Errorf("%w (%s)", ErrNotNoted, want)
	}
	return n, at, when, err
}
